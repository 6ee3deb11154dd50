package arch

import "fmt"

// A waiver lets one finding pass. It is one line, and its reason is why the rule does not fit here;
// "later" is no reason. A waiver that no longer meets a finding fails the test.
type waiver struct {
	rule    string // as printed: layer, home, doc, file, function, ...
	subject string // as printed between the rule and the text
	reason  string
}

func waivers() []waiver {
	return []waiver{
		{"bool", "object.Conditions.Check", "one rule set for reads and writes; every caller holds the flag as a value, none writes true or false"},
		{"methods", "httpx.Ctx", "it is all that a handler may ask of a request and do to its reply; a second type would only hold a pointer to it"},
		{"package", "cmd/ais/command", "every verb is one table entry with its flags, help, completion and action over the one app; a second package would export the app to hold half of the verbs"},
		{"package", "store", "versions, uploads, appends and the offline tools share one lock order, one commit order and the unexported index: cutting it would export them"},
	}
}

// waive returns the findings that no waiver covers, plus one for each waiver that is idle or gives
// no reason.
func waive(found []Finding, list []waiver) []Finding {
	used := make([]bool, len(list))
	var out []Finding
next:
	for _, f := range found {
		for i, w := range list {
			if w.rule == f.Rule && w.subject == f.Subject {
				used[i] = true
				continue next
			}
		}
		out = append(out, f)
	}
	for i, w := range list {
		where := fmt.Sprintf("test/arch/waivers.go (%s %s)", w.rule, w.subject)
		if w.reason == "" {
			out = append(out, Finding{Rule: "waiver", Subject: w.subject, Where: where, Text: "a waiver needs its reason"})
		}
		if !used[i] {
			out = append(out, Finding{Rule: "waiver", Subject: w.subject, Where: where, Text: "nothing left to waive: remove the line"})
		}
	}
	return out
}
