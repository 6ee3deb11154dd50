package policy

import (
	"reflect"
	"strings"
	"testing"

	"aistore/errs"
)

var people = Users{
	ByID: func(id string) string {
		if id == "ann-id" || id == "bob-id" {
			return id
		}
		return ""
	},
	ByEmail: func(email string) string {
		if email == "bob@example.org" {
			return "bob-id"
		}
		return ""
	},
}

func TestCanned(t *testing.T) {
	full := Grant{ID: "ann-id", Permission: FullControl}
	for name, want := range map[string][]Grant{
		"":                          {full},
		"private":                   {full},
		"public-read":               {{Group: AllUsers, Permission: Read}, full},
		"public-read-write":         {{Group: AllUsers, Permission: Read}, {Group: AllUsers, Permission: Write}, full},
		"authenticated-read":        {{Group: AuthenticatedUsers, Permission: Read}, full},
		"log-delivery-write":        {{Group: LogDelivery, Permission: Write}, {Group: LogDelivery, Permission: ReadACP}, full},
		"bucket-owner-read":         {{ID: "bob-id", Permission: Read}, full},
		"bucket-owner-full-control": {{ID: "bob-id", Permission: FullControl}, full},
		"aws-exec-read":             {full},
	} {
		a, err := Canned(name, "ann-id", "bob-id")
		if err != nil || !reflect.DeepEqual(a, ACL{"ann-id", want}) {
			t.Errorf("%q: %+v, %v", name, a, err)
		}
		public := strings.HasPrefix(name, "public") || strings.HasPrefix(name, "auth")
		if a.Public() != public {
			t.Errorf("%q: public %v", name, a.Public())
		}
		if a.Private() != (len(want) == 1) {
			t.Errorf("%q: private %v", name, a.Private())
		}
	}
	if a, err := Canned("bucket-owner-read", "ann-id", "ann-id"); err != nil || len(a.Grants) != 1 {
		t.Errorf("the owner is not granted twice: %+v, %v", a, err)
	}
	if _, err := Canned("public-ready", "ann-id", "bob-id"); codeOf(err) != "InvalidArgument" || !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

func TestACLAllows(t *testing.T) {
	all := []Permission{Read, Write, ReadACP, WriteACP}
	for _, c := range []struct {
		name  string
		grant Grant
		who   Caller
		want  Permission
	}{
		{"user", Grant{ID: "bob-id", Permission: Read}, bob, Read},
		{"full control", Grant{ID: "bob-id", Permission: FullControl}, bob, FullControl},
		{"another user", Grant{ID: "ann-id", Permission: FullControl}, bob, 0},
		{"owner without grants", Grant{ID: "bob-id", Permission: Read}, ann, ReadACP | WriteACP},
		{"owner with a grant", Grant{ID: "ann-id", Permission: Write}, ann, Write | ReadACP | WriteACP},
		{"everyone, stranger", Grant{Group: AllUsers, Permission: Read}, stranger, Read},
		{"everyone, user", Grant{Group: AllUsers, Permission: Write}, bob, Write},
		{"users, stranger", Grant{Group: AuthenticatedUsers, Permission: Read}, stranger, 0},
		{"users, user", Grant{Group: AuthenticatedUsers, Permission: ReadACP}, bob, ReadACP},
		{"log delivery", Grant{Group: LogDelivery, Permission: FullControl}, bob, 0},
		{"nobody's id and a stranger", Grant{ID: "", Permission: FullControl}, stranger, 0},
	} {
		a := ACL{"ann-id", []Grant{c.grant}}
		for _, p := range all {
			if got := a.Allows(&c.who, p); got != (c.want&p != 0) {
				t.Errorf("%s: %v: %v", c.name, p, got)
			}
		}
		if got := a.Allows(&c.who, FullControl); got != (c.want == FullControl) {
			t.Errorf("%s: full control %v", c.name, got)
		}
	}
	if (&ACL{}).Allows(&stranger, ReadACP) {
		t.Error("a stranger owns nothing")
	}
}

func TestGrantHeaders(t *testing.T) {
	for _, c := range []struct {
		h    GrantHeaders
		want []Grant
		set  bool
		code string
	}{
		{GrantHeaders{}, []Grant{{ID: "ann-id", Permission: FullControl}}, false, ""},
		{GrantHeaders{Canned: "public-read"}, []Grant{{Group: AllUsers, Permission: Read}, {ID: "ann-id", Permission: FullControl}}, true, ""},
		{
			GrantHeaders{Read: "id=bob-id", Write: "id=bob-id", ReadACP: "id=bob-id", WriteACP: "id=bob-id", FullControl: "id=bob-id"},
			[]Grant{{ID: "bob-id", Permission: Read}, {ID: "bob-id", Permission: Write}, {ID: "bob-id", Permission: ReadACP}, {ID: "bob-id", Permission: WriteACP}, {ID: "bob-id", Permission: FullControl}}, true, "",
		},
		{
			GrantHeaders{Read: `uri="http://acs.amazonaws.com/groups/global/AllUsers", emailAddress="bob@example.org"`},
			[]Grant{{Group: AllUsers, Permission: Read}, {ID: "bob-id", Permission: Read}}, true, "",
		},
		{GrantHeaders{Read: "id=carl"}, nil, false, "InvalidArgument"},
		{GrantHeaders{Read: "emailAddress=carl@example.org"}, nil, false, "UnresolvableGrantByEmailAddress"},
		{GrantHeaders{Read: "uri=http://x"}, nil, false, "InvalidArgument"},
		{GrantHeaders{Read: "bob-id"}, nil, false, "InvalidArgument"},
		{GrantHeaders{Read: "name=bob"}, nil, false, "InvalidArgument"},
		{GrantHeaders{Read: "id=bob-id", Canned: "private"}, nil, false, "InvalidRequest"},
		{GrantHeaders{Read: strings.Repeat("id=bob-id,", 100) + "id=bob-id"}, nil, false, "InvalidRequest"},
		{GrantHeaders{Canned: "wide-open"}, nil, false, "InvalidArgument"},
	} {
		a, set, err := c.h.ACL("ann-id", "ann-id", people)
		if codeOf(err) != c.code {
			t.Errorf("%+v: %v", c.h, err)
		}
		if err == nil && (set != c.set || a.Owner != "ann-id" || !reflect.DeepEqual(a.Grants, c.want)) {
			t.Errorf("%+v: %+v, %v", c.h, a, set)
		}
	}
}

func TestNamesOfPermissionsAndGroups(t *testing.T) {
	for _, p := range []Permission{Read, Write, ReadACP, WriteACP, FullControl} {
		if got, ok := ParsePermission(p.String()); !ok || got != p {
			t.Error(p, got)
		}
	}
	if _, ok := ParsePermission(""); ok || (Read|Write).String() != "" {
		t.Error("a set has no name")
	}
	for _, g := range []Group{AllUsers, AuthenticatedUsers, LogDelivery} {
		if got, ok := ParseGroup(g.URI()); !ok || got != g {
			t.Error(g, got)
		}
	}
	if _, ok := ParseGroup(""); ok {
		t.Error("no group")
	}
	for _, o := range []Ownership{ObjectWriter, BucketOwnerPreferred, BucketOwnerEnforced} {
		if got, err := ParseOwnership(o.String()); err != nil || got != o {
			t.Error(o, got, err)
		}
	}
	if _, err := ParseOwnership("Me"); codeOf(err) != "MalformedXML" {
		t.Error(err)
	}
}

func TestACLCodec(t *testing.T) {
	for text, a := range map[string]ACL{
		"1;":                        {},
		"1;ann-id":                  {Owner: "ann-id"},
		"1;ann-id;fann-id":          {"ann-id", []Grant{{ID: "ann-id", Permission: FullControl}}},
		"1;a;r*all;w*auth;R*log;Wb": {"a", []Grant{{Group: AllUsers, Permission: Read}, {Group: AuthenticatedUsers, Permission: Write}, {Group: LogDelivery, Permission: ReadACP}, {ID: "b", Permission: WriteACP}}},
		"1;%2Aall%3B%25%C3%A9;r%20": {"*all;%é", []Grant{{ID: " ", Permission: Read}}},
	} {
		if got := a.Encode(); got != text {
			t.Errorf("%+v: %s", a, got)
		}
		got, err := ParseACL(text)
		if err != nil || got.Owner != a.Owner || len(got.Grants) != len(a.Grants) || len(a.Grants) > 0 && !reflect.DeepEqual(got.Grants, a.Grants) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2;a", "1", "1;a;", "1;a;x*all", "1;a;r*none", "1;a b", "1;%", "1;%4", "1;%zz", "1;%41", "1;%2a", "1;a;rb*", "1;a" + strings.Repeat(";rb", 1001)} {
		if _, err := ParseACL(text); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

func FuzzParseACL(f *testing.F) {
	for _, seed := range []string{"1;", "1;a;r*all;fb", "1;%2Aall%3B%25;R*log"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseACL(text)
		if err != nil {
			return
		}
		if again := a.Encode(); again != text {
			t.Errorf("%q became %q", text, again)
		}
	})
}
