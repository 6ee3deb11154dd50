package command

import (
	"bufio"
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// authVerbs are `ais auth`: who may sign S3 requests.
type authVerbs struct{ *app }

func (a authVerbs) command() *cli.Command {
	role := func(text string) cli.Flag {
		return &cli.StringFlag{Name: "role", Usage: "`ROLE`: admin, user or readonly", DefaultText: text}
	}
	name := func(display, email string) []cli.Flag {
		return []cli.Flag{
			&cli.StringFlag{Name: "display", Usage: "`TEXT` that S3 shows as owner", DefaultText: display},
			&cli.StringFlag{Name: "email", Usage: "`ADDRESS`; grants may name it", DefaultText: email},
		}
	}
	group := func(name, usage string, cs ...*cli.Command) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Subcommands: cs}
	}
	return group("auth", "users of S3 and their keys",
		group("add", "add a user, or a key of one",
			a.verb(&cli.Command{Name: "user", Usage: "add a user", ArgsUsage: "NAME", Action: a.addUser, Flags: append([]cli.Flag{
				role("user"), &cli.StringFlag{Name: "id", Usage: "S3's canonical `ID` of the user, for ever", DefaultText: "the first access key"},
			}, name("the id", "none")...)}, argAny),
			a.verb(&cli.Command{Name: "key", Usage: "give a user a key pair; a random secret is shown this once", ArgsUsage: "USER", Action: a.addKey, Flags: []cli.Flag{
				&cli.StringFlag{Name: "access", Usage: "access `KEY`", DefaultText: "a random pair, if --secret is not given either"},
				&cli.StringFlag{Name: "secret", Usage: "its secret `KEY`; - reads it from standard input", DefaultText: "a random pair"},
			}}, argUser),
		),
		group("rm", "remove a user with its keys, or a key",
			a.verb(&cli.Command{Name: "user", Usage: "remove a user with its keys; its buckets and objects stay", ArgsUsage: "NAME", Action: a.removeUser}, argUser),
			a.verb(&cli.Command{Name: "key", Usage: "remove a key", ArgsUsage: "ACCESS", Action: a.removeKey}, argKey),
		),
		group("set", "change a user",
			a.verb(&cli.Command{Name: "user", Usage: "change a user's role, display name or e-mail address", ArgsUsage: "NAME", Action: a.setUser,
				Flags: append([]cli.Flag{role("as it is")}, name("as it is", "as it is")...)}, argUser)),
		a.verb(&cli.Command{Name: "show", Usage: "show all users, or one", ArgsUsage: "[USER]", Flags: []cli.Flag{a.headersFlag()}, Action: a.show}, argUser),
	)
}

// named returns the one argument and the client.
func (a authVerbs) named(c *cli.Context) (string, *client.Client, error) {
	if err := count(c, 1, 1); err != nil {
		return "", nil, err
	}
	sdk, err := a.connect(c.Context)
	return c.Args().First(), sdk, err
}

func (a authVerbs) addUser(c *cli.Context) error {
	name, sdk, err := a.named(c)
	if err != nil {
		return err
	}
	m := api.AddUserMsg{Name: name, Role: cluster.UserRole(c.String("role")), ID: c.String("id"), Display: c.String("display"), Email: c.String("email")}
	if err := sdk.Auth().AddUser(c.Context, m); err != nil {
		return err
	}
	if a.out.JSON {
		return a.showJSON(c.Context, sdk, name)
	}
	a.out.Printf("user added: %s\nGive it a key with `ais auth add key %s`.", name, name)
	return nil
}

func (a authVerbs) showJSON(ctx context.Context, sdk *client.Client, name string) error {
	u, err := sdk.Auth().User(ctx, name)
	if err != nil {
		return err
	}
	return a.out.Value(u)
}

// pairJSON is how --json shows a new pair. A secret that was given is not shown: it would stand where the giver did not put it.
type pairJSON struct {
	User   string `json:"user"`
	Access string `json:"access"`
	Secret string `json:"secret,omitempty"`
}

func (a authVerbs) addKey(c *cli.Context) error {
	pair := client.KeyPair{Access: c.String("access"), Secret: c.String("secret")}
	if (pair.Access == "") != (pair.Secret == "") {
		return usageError("%s: give --access and --secret, or neither for a random pair", fullName(c))
	}
	given := pair.Secret != ""
	if pair.Secret == "-" {
		line, err := bufio.NewReader(a.out.Stdin(c.Context)).ReadString('\n')
		if pair.Secret = strings.TrimRight(line, "\r\n"); pair.Secret == "" {
			return errs.F("", "standard input", errs.Invalid, "holds no secret: %w", err)
		}
	}
	user, sdk, err := a.named(c)
	if err != nil {
		return err
	}
	if pair, err = sdk.Auth().AddKey(c.Context, user, pair); err != nil {
		return err
	}
	made := pair.Secret
	if given {
		made = ""
	}
	if a.out.JSON {
		return a.out.Value(pairJSON{user, pair.Access, made})
	}
	a.out.Printf("key added: %s\naccess key  %s", user, pair.Access)
	if !given {
		a.out.Printf("secret key  %s\nKeep the secret: it is not shown again.", made)
	}
	return nil
}

func (a authVerbs) removeUser(c *cli.Context) error {
	name, sdk, err := a.named(c)
	if err != nil {
		return err
	}
	if err := sdk.Auth().RemoveUser(c.Context, name); err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]string{"removed": name})
	}
	a.out.Printf("user removed: %s", name)
	return nil
}

func (a authVerbs) removeKey(c *cli.Context) error {
	access, sdk, err := a.named(c)
	if err != nil {
		return err
	}
	if err := sdk.Auth().RemoveKey(c.Context, access); err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]string{"removed": access})
	}
	a.out.Printf("key removed: %s", access)
	return nil
}

func (a authVerbs) setUser(c *cli.Context) error {
	m := api.SetUserMsg{Role: cluster.UserRole(c.String("role"))}
	for option, to := range map[string]**string{"display": &m.Display, "email": &m.Email} {
		if c.IsSet(option) {
			text := c.String(option)
			*to = &text
		}
	}
	if m == (api.SetUserMsg{}) {
		return usageError("%s: nothing to change: give --role, --display or --email", fullName(c))
	}
	name, sdk, err := a.named(c)
	if err != nil {
		return err
	}
	if err := sdk.Auth().SetUser(c.Context, name, m); err != nil {
		return err
	}
	if a.out.JSON {
		return a.showJSON(c.Context, sdk, name)
	}
	a.out.Printf("user set: %s", name)
	return nil
}

func (a authVerbs) show(c *cli.Context) error {
	if err := count(c, 0, 1); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	if c.NArg() == 1 {
		return a.showUser(c, sdk)
	}
	us, err := sdk.Auth().Users(c.Context)
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(us)
	}
	t := a.out.NewTable(term.Columns("NAME", "ROLE", "ID", "KEYS", "DISPLAY", "EMAIL")...)
	for i := range us {
		u := &us[i]
		if err := t.Add(u.Name, string(u.Role), orDash(u.ID), orDash(accessKeys(u)), orDash(u.Display), orDash(u.Email)); err != nil {
			return err
		}
	}
	return t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func accessKeys(u *api.User) string {
	var ks []string
	for _, k := range u.Keys {
		ks = append(ks, k.Access)
	}
	return strings.Join(ks, ",")
}

func (a authVerbs) showUser(c *cli.Context, sdk *client.Client) error {
	u, err := sdk.Auth().User(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(u)
	}
	rows := [][2]string{
		{"name", u.Name}, {"role", string(u.Role)}, {"id", u.ID}, {"display", u.Display}, {"email", u.Email}, {"created", stamp(u.Created)},
	}
	for _, k := range u.Keys {
		rows = append(rows, [2]string{"key", k.Access + "  of " + stamp(k.Created)})
	}
	return a.properties(rows)
}

// userCandidates completes names of users and access keys.
func userCandidates(ctx context.Context, sdk *client.Client, kind argument) ([]candidate, error) {
	us, err := sdk.Auth().Users(ctx)
	if err != nil {
		return nil, err
	}
	var cs []candidate
	for i := range us {
		u := &us[i]
		if kind&argUser != 0 {
			cs = append(cs, candidate{text: u.Name, help: string(u.Role)})
		}
		for _, k := range u.Keys {
			if kind&argKey != 0 {
				cs = append(cs, candidate{text: k.Access, help: u.Name + ", of " + k.Created.Format(time.DateOnly)})
			}
		}
	}
	return cs, nil
}
