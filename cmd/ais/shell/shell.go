// Package shell knows what bash, zsh and fish need to complete a command line: their scripts, how bash splits a line, and
// how it inserts a word. What may stand where is package command's.
//
// Start at Scripts.
package shell

import "strings"

// Word is a word to insert. Unless Open, it is complete and a space follows.
type Word struct {
	Text string
	Open bool
}

// Split takes a bash command line up to the cursor apart, as far as completion needs it: quotes and
// backslashes count, expansions do not. raw is the last word as it was typed.
func Split(line string) (ws []string, raw string) {
	var word strings.Builder
	quote, inWord, begin := rune(0), false, 0
	escaped := false
	for i, r := range line {
		if !inWord && !escaped && quote == 0 && r != ' ' && r != '\t' {
			inWord, begin = true, i
		}
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote = r
		case r == ' ' || r == '\t':
			if inWord {
				ws = append(ws, word.String())
				word.Reset()
				inWord = false
			}
		case r == ';' || r == '|' || r == '&': // another command begins
			ws, inWord = nil, false
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	if inWord {
		raw = line[begin:]
	}
	return append(ws, word.String()), raw
}

// BashReply forms a word as readline inserts it. Readline takes ':' and '=' for the end of a word, so what was
// typed up to the last of them is left out; inside quotes it does not, and quotes the rest itself.
func BashReply(w Word, raw string) string {
	end := " "
	if w.Open {
		end = ""
	}
	if strings.HasPrefix(raw, `"`) || strings.HasPrefix(raw, `'`) {
		return w.Text
	}
	text := escape(w.Text)
	for range strings.Count(raw, ":") + strings.Count(raw, "=") {
		text = text[strings.IndexAny(text, ":=")+1:]
	}
	return text + end
}

func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune(" \t'\"\\$`&|;<>()*?[]{}!#", r) || r == '~' && i > 0 {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Scripts returns the completion script of each shell; it calls `ais VERB SHELL ...`.
func Scripts(verb string) map[string]string {
	return map[string]string{"bash": bashScript(verb), "zsh": zshScript(verb), "fish": fishScript(verb)}
}

func bashScript(verb string) string {
	return `# bash completion of ais
_ais() {
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" ` + verb + ` bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -o nospace -F _ais ais
`
}

func zshScript(verb string) string {
	return `#compdef ais
# zsh completion of ais
_ais() {
    local line text rest
    local -a done_ done_help open_ open_help
    while IFS= read -r line; do
        text="${line%%$'\t'*}" rest="${line#*$'\t'}"
        if [[ "$rest" == $'\x01'* ]]; then
            open_+=("$text") open_help+=("$text${rest#$'\x01'}")
        else
            done_+=("$text") done_help+=("$text${rest:+  -- $rest}")
        fi
    done < <("${(Q)words[1]}" ` + verb + ` zsh "${(@Q)words[1,CURRENT]}" 2>/dev/null)
    (( $#done_ )) && compadd -l -d done_help -a done_
    (( $#open_ )) && compadd -S '' -d open_help -a open_
}
if [ "$funcstack[1]" = "_ais" ]; then
    _ais "$@"
else
    compdef _ais ais
fi
`
}

func fishScript(verb string) string {
	return `# fish completion of ais
function __ais_complete
    set -l words (commandline -opc) (string unescape -- (commandline -ct) | string collect --allow-empty)
    $words[1] ` + verb + ` fish $words 2>/dev/null | string replace -a (printf '\x01') ''
end
complete -c ais -f -a '(__ais_complete)'
`
}
