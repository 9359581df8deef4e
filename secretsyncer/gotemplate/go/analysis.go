package main

import (
	"slices"
	"text/template"
	"text/template/parse"
)

// filter is one call of a filter function.
type filter struct {
	Kind    string   `json:"kind"` // tagKey, tag, name
	Args    []string `json:"args"`
	Matched bool     `json:"matched"` // it has selected a secret
}

var filterKinds = map[string]string{
	"filterByTagKey": "tagKey", "filterByTag": "tag", "filterByName": "name",
}

// facts is what is known from the parse tree before anything runs.
type facts struct {
	catalogue bool            // the template uses .Secrets
	whole     bool            // ... other than as the argument of a filter
	literals  map[string]bool // all string literals
	ids       []string        // literal arguments of the functions that read secrets
	filters   []filter        // literal filters of loops that read values
	tagKeys   []string        // literal keys of tags
}

// analyse is conservative: whole may be true needlessly, but is never wrongly
// false. A template can use its data without a filter only through a bare dot or
// $: at the outermost scope of the main template, or in a template that is
// called from there with the data itself.
func analyse(main *template.Template) facts {
	a := analyser{facts: facts{literals: map[string]bool{}}, main: main, seen: map[string]bool{}}
	for _, member := range main.Templates() {
		if member.Tree == nil || member.Tree.Root == nil {
			continue
		}
		isMain := member == main || member.Name() == main.Name()
		a.list(member.Tree.Root, scope{dot: isMain, dollar: isMain})
	}
	a.facts.catalogue = a.facts.catalogue || a.facts.whole
	return a.facts
}

// scope: whether dot and $ are the data of the template.
type scope struct{ dot, dollar bool }

type analyser struct {
	facts     facts
	main      *template.Template
	seen      map[string]bool
	onCommand func(*parse.CommandNode)
}

func (a *analyser) list(list *parse.ListNode, in scope) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			a.pipe(node.Pipe, in)
		case *parse.IfNode:
			a.branch(&node.BranchNode, in, in)
		case *parse.WithNode:
			a.branch(&node.BranchNode, in, scope{dollar: in.dollar})
		case *parse.RangeNode:
			a.loop(node)
			a.branch(&node.BranchNode, in, scope{dollar: in.dollar})
		case *parse.TemplateNode:
			a.call(node, in)
		}
	}
}

func (a *analyser) branch(node *parse.BranchNode, outside, inside scope) {
	a.pipe(node.Pipe, outside)
	a.list(node.List, inside)
	a.list(node.ElseList, outside)
}

// call follows {{template "x" .}}, where the data becomes dot and $ of the
// called template.
func (a *analyser) call(node *parse.TemplateNode, in scope) {
	if node.Pipe == nil {
		return
	}
	if !a.isData(node.Pipe, in) {
		a.pipe(node.Pipe, in)
		return
	}
	called := a.main.Lookup(node.Name)
	if called == nil || called.Tree == nil || a.seen[node.Name] {
		return
	}
	a.seen[node.Name] = true
	a.list(called.Tree.Root, scope{dot: true, dollar: true})
}

// isData reports whether the pipeline is the bare data and nothing else.
func (a *analyser) isData(pipe *parse.PipeNode, in scope) bool {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	switch node := pipe.Cmds[0].Args[0].(type) {
	case *parse.DotNode:
		return in.dot
	case *parse.VariableNode:
		return in.dollar && len(node.Ident) == 1 && node.Ident[0] == "$"
	}
	return false
}

func (a *analyser) pipe(pipe *parse.PipeNode, in scope) {
	for _, cmd := range pipe.Cmds {
		name := functionName(cmd)
		for i, arg := range cmd.Args {
			if i == 1 && filterKinds[name] != "" && isSecrets(arg) {
				a.facts.catalogue = true
				continue
			}
			a.arg(arg, in)
		}
		if a.onCommand != nil {
			a.onCommand(cmd)
		}
		if key, ok := literal(cmd, 2); ok && tagReaders[name] {
			a.facts.tagKeys = append(a.facts.tagKeys, key)
		}
		if id, ok := literal(cmd, 1); ok && readers[name] {
			a.facts.ids = append(a.facts.ids, marks[name]+id)
		}
	}
}

var (
	readers = map[string]bool{
		"getSecretValue": true, "getSecretValueMap": true, "getSecretKey": true,
		"getParameter": true, "getParameters": true,
	}
	marks      = map[string]string{"getParameter": parameterID, "getParameters": belowID}
	tagReaders = map[string]bool{"filterByTagKey": true, "filterByTag": true}
)

// tag records the key in .Tags.key.
func (a *analyser) tag(names []string) {
	if at := slices.Index(names, "Tags"); at >= 0 && at+1 < len(names) {
		a.facts.tagKeys = append(a.facts.tagKeys, names[at+1])
	}
}

func (a *analyser) arg(node parse.Node, in scope) {
	switch node := node.(type) {
	case *parse.DotNode:
		a.facts.whole = a.facts.whole || in.dot
	case *parse.VariableNode:
		a.tag(node.Ident)
		if node.Ident[0] == "$" {
			secrets := len(node.Ident) > 1 && node.Ident[1] == "Secrets"
			a.facts.whole = a.facts.whole || secrets || (len(node.Ident) == 1 && in.dollar)
		}
	case *parse.FieldNode:
		a.tag(node.Ident)
		a.facts.whole = a.facts.whole || node.Ident[0] == "Secrets"
	case *parse.ChainNode:
		a.tag(node.Field)
		a.facts.whole = a.facts.whole || node.Field[0] == "Secrets"
		a.arg(node.Node, in)
	case *parse.PipeNode:
		a.pipe(node, in)
	case *parse.StringNode:
		a.facts.literals[node.Text] = true
	}
}

// isSecrets reports whether the node is .Secrets or $.Secrets.
func isSecrets(node parse.Node) bool {
	switch node := node.(type) {
	case *parse.FieldNode:
		return len(node.Ident) == 1 && node.Ident[0] == "Secrets"
	case *parse.VariableNode:
		return len(node.Ident) == 2 && node.Ident[0] == "$" && node.Ident[1] == "Secrets"
	}
	return false
}

// loop records the filter of a loop whose body reads values. The loop needs all
// selected secrets, so requesting them at once saves a round for each.
func (a *analyser) loop(node *parse.RangeNode) {
	if len(node.Pipe.Cmds) != 1 || !reads(node.List) {
		return
	}
	cmd := node.Pipe.Cmds[0]
	kind := filterKinds[functionName(cmd)]
	if kind == "" || len(cmd.Args) < 3 || !isSecrets(cmd.Args[1]) {
		return
	}
	call := filter{Kind: kind}
	for i := range cmd.Args[2:] {
		text, ok := literal(cmd, i+2)
		if !ok {
			return
		}
		call.Args = append(call.Args, text)
	}
	a.facts.filters = append(a.facts.filters, call)
}

func literal(cmd *parse.CommandNode, index int) (string, bool) {
	if index >= len(cmd.Args) {
		return "", false
	}
	node, ok := cmd.Args[index].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return node.Text, true
}

// reads reports whether the list reads a value anywhere.
func reads(list *parse.ListNode) bool {
	found := false
	look := analyser{facts: facts{literals: map[string]bool{}}}
	look.onCommand = func(cmd *parse.CommandNode) { found = found || readers[functionName(cmd)] }
	look.list(list, scope{})
	return found
}
