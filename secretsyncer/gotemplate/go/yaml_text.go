package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// form is how a text can be written in YAML.
type form struct {
	plain     bool // without quotes
	block     bool // as a literal block, if it has lines
	printable bool // without escapes
}

func formOf(s string) form {
	printable := true
	for _, c := range s {
		printable = printable && (c == '\n' || isPrintable(c)) && !isWideBreak(c)
	}
	spaceBreak := strings.Contains(s, " \n")
	return form{
		plain:     printable && !strings.ContainsRune(s, '\n') && strings.Trim(s, " ") == s && !hasIndicator(s),
		block:     printable && !spaceBreak && !strings.HasSuffix(s, " "),
		printable: printable,
	}
}

// hasIndicator reports whether a part of a plain text would be read as something else.
func hasIndicator(s string) bool {
	if s == "" {
		return false
	}
	blankAfterFirst := len(s) == 1 || s[1] == ' ' || s[1] == '\t'
	return strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") ||
		strings.ContainsRune("#,[]{}&*!|>'\"%@`", rune(s[0])) ||
		(strings.ContainsRune("?:-", rune(s[0])) && blankAfterFirst) ||
		strings.Contains(s, ": ") || strings.HasSuffix(s, ":") || strings.Contains(s, " #")
}

// isPrintable reports whether YAML 1.1 allows the character without an escape, as libyaml decides it.
func isPrintable(c rune) bool {
	return (c >= ' ' && c <= '~') || (c >= 0xa0 && c < 0xd800) || (c >= 0xe000 && c < 0xfffe && c != 0xfeff)
}

// isWideBreak reports whether YAML 1.1 reads the character as the end of a line.
func isWideBreak(c rune) bool { return c == 0x2028 || c == 0x2029 }

var (
	yamlWords  = regexp.MustCompile(`^(y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF|~?|null|Null|NULL|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|=|<<)$`)
	yamlFloat  = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	yamlBase60 = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`)
	yamlTimes  = []string{"2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00", "2006-1-2 15:4:5.999999999", "2006-1-2"}
)

// isOtherType reports whether a parser could read the text as another type than text.
func isOtherType(s string) bool {
	if yamlWords.MatchString(s) || yamlBase60.MatchString(s) {
		return true
	}
	switch c := s[0]; {
	case c == '.':
		_, err := strconv.ParseFloat(s, 64)
		return err == nil
	case c != '-' && c != '+' && (c < '0' || c > '9'):
		return false
	}
	if len(s) > 4 && s[4] == '-' {
		for _, layout := range yamlTimes {
			if _, err := time.Parse(layout, s); err == nil {
				return true
			}
		}
	}
	digits := strings.ReplaceAll(s, "_", "")
	_, signed := strconv.ParseInt(digits, 0, 64)
	_, unsigned := strconv.ParseUint(digits, 0, 64)
	return signed == nil || unsigned == nil || yamlFloat.MatchString(digits)
}

// naturally compares keys as sigs.k8s.io/yaml sorts them: numbers in them by value, and letters last.
func naturally(a, b string) int {
	one, other := []rune(a), []rune(b)
	for i := 0; i < len(one) && i < len(other); i++ {
		if one[i] == other[i] {
			continue
		}
		if letter, second := unicode.IsLetter(one[i]), unicode.IsLetter(other[i]); letter != second {
			if letter {
				return 1
			}
			return -1
		} else if letter {
			return int(one[i]) - int(other[i])
		}
		within := (one[i] == '0' || other[i] == '0') && insideNumber(one[:i])
		first, firstEnd := numberAt(one, i, within)
		second, secondEnd := numberAt(other, i, within)
		switch {
		case first != second:
			if first < second {
				return -1
			}
			return 1
		case firstEnd != secondEnd:
			return firstEnd - secondEnd
		}
		return int(one[i]) - int(other[i])
	}
	return len(one) - len(other)
}

// insideNumber reports whether digits that are not all zero come before.
func insideNumber(before []rune) bool {
	for i := len(before) - 1; i >= 0 && unicode.IsDigit(before[i]); i-- {
		if before[i] != '0' {
			return true
		}
	}
	return false
}

func numberAt(name []rune, start int, within bool) (int64, int) {
	var number int64
	if within {
		number = 1
	}
	end := start
	for ; end < len(name) && unicode.IsDigit(name[end]); end++ {
		number = number*10 + int64(name[end]-'0')
	}
	return number, end
}
