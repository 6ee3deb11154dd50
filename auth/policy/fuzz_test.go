package policy

import "testing"

// FuzzParse also evaluates what was parsed: no document may panic, or decide differently twice.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		statementOf("Allow", `"*"`, `"s3:Get*"`, `["arn:aws:s3:::b","arn:aws:s3:::b/${aws:username, 'x'}/*"]`, `{"StringLike":{"s3:prefix":["a*","?"]},"Null":{"aws:x":true}}`),
		statementOf("Deny", `{"AWS":["ann","arn:aws:iam::1:root"],"CanonicalUser":"x"}`, `"*"`, `"*"`, `{"ForAnyValue:IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/8"},"NumericLessThan":{"s3:max-keys":10},"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`),
		`{"Statement":{"Effect":"Deny","NotPrincipal":"*","NotAction":["s3:*"],"NotResource":"arn:aws:s3:::b/${*}","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}}}`,
	} {
		f.Add([]byte(seed), "a/b")
	}
	f.Fuzz(func(t *testing.T, doc []byte, key string) {
		p, err := Parse(doc, "b")
		if err != nil {
			if codeOf(err) != "MalformedPolicy" {
				t.Errorf("%v", err)
			}
			return
		}
		r := &Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Key: key, Values: func(k string) []string { return []string{k, key} }}
		if a, b := p.Decide(r), p.Decide(r); a != b {
			t.Errorf("%v, then %v", a, b)
		}
		p.Public()
	})
}
