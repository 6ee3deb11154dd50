package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/internal/near"
)

// synonyms are what other tools call our verbs.
func synonyms() map[string][]string {
	return map[string][]string{
		"rm": {"delete", "remove", "destroy", "erase", "rb", "unlink"}, "cp": {"copy"}, "mv": {"move", "rename"}, "ls": {"list", "dir", "show"},
		"put": {"upload", "store"}, "get": {"download", "fetch"}, "create": {"make", "mb", "mkdir", "new"}, "add": {"create", "new", "make"},
		"stop": {"kill", "abort", "cancel"}, "show": {"describe", "info", "stat", "head"},
	}
}

// phrases are what is said for a command that is called quite otherwise here.
func phrases() map[string]string {
	config := "`ais config cluster`"
	return map[string]string{
		"ais version": "--version", "ais status": "`ais show cluster` or `ais dev status`", "ais cluster status": "`ais show cluster`",
		"ais config set": "`ais config cluster KEY=VALUE`", "ais config reset": "`ais config cluster --reset`",
		"ais config show": config, "ais config get": config, "ais config ls": config, "ais config list": config,
	}
}

// shownElsewhere is how many commands are named at most when one of the name is not where it was looked for.
const shownElsewhere = 4

// meant returns which command may be meant by a name that a group has none of, "" if there is no guess: one of that name below the group
// or elsewhere, one that other tools call so, or one that is written alike.
func meant(root *cli.App, group string, within []*cli.Command, name string) string {
	if phrase := phrases()[group+" "+name]; phrase != "" {
		return phrase
	}
	if below := called(name, group, within); len(below) == 1 {
		return below[0]
	}
	for _, sub := range within {
		if slices.Contains(synonyms()[sub.Name], name) {
			return sub.Name
		}
	}
	if all := called(name, root.Name, root.Commands); len(all) > 0 && len(all) <= shownElsewhere {
		return strings.Join(all, " or ")
	}
	var names []string
	for _, sub := range within {
		names = append(names, sub.Names()...)
	}
	return nearestOf(name, names)
}

// called returns the commands of a name, as they are typed, at any depth below path. What `ais object` repeats is left out.
func called(name, path string, cs []*cli.Command) []string {
	var found []string
	for _, sub := range cs {
		full := path + " " + sub.Name
		if sub.Name == name {
			found = append(found, "`"+full+"`")
		}
		if sub.Name != "object" || name == "object" {
			found = append(found, called(name, full, sub.Subcommands)...)
		}
	}
	return found
}

// nearestOf returns the name that differs from s by at most two edits and in no more than half of the longer one's letters, or
// the only one that begins with s; "" if there is none.
func nearestOf(s string, names []string) string {
	best, name := 3, ""
	if longer := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return len(s) < 2 || !strings.HasPrefix(n, s) }); len(longer) == 1 {
		return longer[0]
	}
	for _, n := range names {
		if d := near.Distance(s, n); d < best && 2*d <= max(len(s), len(n)) {
			best, name = d, n
		}
	}
	return name
}
