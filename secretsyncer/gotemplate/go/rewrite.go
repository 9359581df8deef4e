package main

import (
	"regexp"
	"slices"
	"strconv"
	"text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// rewrite prepares the parse trees of all templates for execution, as
// html/template does for its escapers:
//
//   - the value of every action passes through _print, which fails where Go
//     would print "<no value>" or "<nil>", and quotes the expression;
//   - every access to a field goes through _field, which knows the secret that
//     a map comes from, and names it if the key is missing;
//   - the value of every range passes through _range, because Go's own error
//     quotes the value.
//
// A missing field is an error if its value is used, and empty if it is only
// tested (see tolerant), as existing templates expect.
//
// A call of _field takes five times as long as Go's own access. With quick, Go
// does the accesses that mean the same: keys of maps whose absence is an error.
// If one fails, the template runs again without quick, to get the error text.
func rewrite(root *template.Template, text string, quick bool) (*program, error) {
	made := &program{template: root}
	for _, member := range root.Templates() {
		if member.Tree == nil || member.Tree.Root == nil {
			continue
		}
		walker := rewriter{program: made, tree: member.Tree, text: text, quick: quick}
		walker.list(member.Tree.Root)
		if walker.err != nil {
			return nil, walker.err
		}
	}
	root.Funcs(hidden)
	return made, nil
}

// program is a template that can run.
type program struct {
	template *template.Template
	accesses []access
	native   bool // some accesses are Go's own
}

// access describes one call of _field. The call gets its index, because each
// argument of a function costs more than the access itself.
type access struct {
	expression string
	names      []string
	lenient    bool
	key        string // the only key of the result that is looked at; empty: any
}

// lookups are the functions that look at one key of their first argument.
var lookups = map[string]bool{"index": true, "hasKey": true, "get": true}

// tolerant functions only test whether a value exists.
var tolerant = map[string]bool{
	"and": true, "or": true, "not": true, "eq": true, "ne": true,
	"default": true, "empty": true, "coalesce": true, "ternary": true, "required": true,
}

type rewriter struct {
	program *program
	tree    *parse.Tree
	text    string
	quick   bool
	err     error
}

func (r *rewriter) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			r.action(node)
		case *parse.IfNode:
			r.branch(&node.BranchNode)
		case *parse.WithNode:
			r.branch(&node.BranchNode)
		case *parse.RangeNode:
			expression := node.Pipe.String()
			r.branch(&node.BranchNode)
			r.append(node.Pipe, "_range", expression)
		case *parse.TemplateNode:
			if node.Pipe != nil {
				r.pipe(node.Pipe, true)
			}
		}
	}
}

func (r *rewriter) action(node *parse.ActionNode) {
	if len(node.Pipe.Decl) > 0 {
		r.pipe(node.Pipe, true)
		return
	}
	expression := node.Pipe.String()
	r.pipe(node.Pipe, false)
	r.append(node.Pipe, "_print", expression)
}

func (r *rewriter) branch(node *parse.BranchNode) {
	r.pipe(node.Pipe, true)
	r.list(node.List)
	r.list(node.ElseList)
}

// append adds a last command to a pipeline: a hidden function that gets the
// text of the expression and the value of the pipeline.
func (r *rewriter) append(pipe *parse.PipeNode, name, expression string) {
	pos := pipe.Cmds[0].Pos
	pipe.Cmds = append(pipe.Cmds, &parse.CommandNode{
		NodeType: parse.NodeCommand, Pos: pos,
		Args: []parse.Node{r.function(name, pos), quoted(clip(expression, 60), pos)},
	})
}

// pipe rewrites a pipeline. lenient: its result is only tested.
func (r *rewriter) pipe(pipe *parse.PipeNode, lenient bool) {
	for i, cmd := range pipe.Cmds {
		after := lenient
		if i+1 < len(pipe.Cmds) {
			after = tolerant[functionName(pipe.Cmds[i+1])]
		}
		r.command(cmd, i == 0, after)
	}
}

func (r *rewriter) command(cmd *parse.CommandNode, first, lenient bool) {
	name := functionName(cmd)
	switch name {
	case "required":
		r.checkRequired(cmd)
	case "printf":
		r.hideComputedFormat(cmd)
	}
	if len(cmd.Args) == 1 && first {
		if access := r.field(cmd.Args[0], lenient); access != nil {
			cmd.Args = access.Args
			return
		}
	}
	r.nested(cmd.Args[0], lenient)
	for i, arg := range cmd.Args[1:] {
		if access := r.field(arg, tolerant[name]); access != nil {
			if key, ok := literal(cmd, 2); ok && i == 0 && lookups[name] {
				r.program.accesses[len(r.program.accesses)-1].key = key
			}
			cmd.Args[i+1] = &parse.PipeNode{
				NodeType: parse.NodePipe, Pos: access.Pos,
				Cmds: []*parse.CommandNode{access},
			}
		} else {
			r.nested(arg, tolerant[name])
		}
	}
}

func (r *rewriter) nested(node parse.Node, lenient bool) {
	switch node := node.(type) {
	case *parse.PipeNode:
		r.pipe(node, lenient)
	case *parse.ChainNode:
		r.nested(node.Node, true)
	}
}

// field turns a.b.c into a command that calls _field. It returns nil if the
// node is not an access to a field.
func (r *rewriter) field(node parse.Node, lenient bool) *parse.CommandNode {
	pos := node.Position()
	var base parse.Node
	var names []string
	switch node := node.(type) {
	case *parse.FieldNode:
		base, names = &parse.DotNode{NodeType: parse.NodeDot, Pos: pos}, node.Ident
	case *parse.VariableNode:
		if len(node.Ident) < 2 {
			return nil
		}
		base = &parse.VariableNode{NodeType: parse.NodeVariable, Pos: pos, Ident: node.Ident[:1]}
		names = node.Ident[1:]
	case *parse.ChainNode:
		r.nested(node.Node, true)
		base, names = node.Node, node.Field
	default:
		return nil
	}
	if r.quick && !lenient && areKeys(names) {
		r.program.native = true
		return nil
	}
	index := int64(len(r.program.accesses))
	r.program.accesses = append(r.program.accesses, access{clip(node.String(), 60), names, lenient, ""})
	number := &parse.NumberNode{NodeType: parse.NodeNumber, Pos: pos, IsInt: true, Int64: index, Text: strconv.FormatInt(index, 10)}
	return &parse.CommandNode{
		NodeType: parse.NodeCommand, Pos: pos,
		Args: []parse.Node{r.function("_field", pos), number, base},
	}
}

// areKeys reports whether the names can only be keys of maps: Go's methods and
// fields begin with a capital letter.
func areKeys(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		first, _ := utf8.DecodeRuneInString(name)
		return unicode.IsUpper(first)
	})
}

// hideComputedFormat has a printf whose format is not a text in quotes keep it out of its errors.
func (r *rewriter) hideComputedFormat(cmd *parse.CommandNode) {
	if len(cmd.Args) > 1 {
		if _, literal := cmd.Args[1].(*parse.StringNode); literal {
			return
		}
	}
	cmd.Args[0] = r.function("_printf", cmd.Args[0].Position())
}

var locationText = regexp.MustCompile(`:(\d+):(\d+)$`)

// checkRequired rejects a computed message. The status shows the message, so a
// computed one could contain a secret value.
func (r *rewriter) checkRequired(cmd *parse.CommandNode) {
	if len(cmd.Args) > 1 {
		if _, literal := cmd.Args[1].(*parse.StringNode); literal {
			return
		}
	}
	location, _ := r.tree.ErrorContext(cmd)
	parts := locationText.FindStringSubmatch(location)
	where, excerpt := position(r.text, parts[1], parts[2])
	r.err = fail("%s<%s>: the message must be a string literal", where, excerpt)
}

func (r *rewriter) function(name string, pos parse.Pos) parse.Node {
	return parse.NewIdentifier(name).SetPos(pos).SetTree(r.tree)
}

func quoted(text string, pos parse.Pos) *parse.StringNode {
	return &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(text), Text: text}
}

func functionName(cmd *parse.CommandNode) string {
	if node, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
		return node.Ident
	}
	return ""
}
