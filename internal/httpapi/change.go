package httpapi

import (
	"context"
	"reflect"
	"slices"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

// readChange is readMembers for a change, all of whose members are optional. It
// must name one at least.
func (x *exchange) readChange(ctx context.Context, into any) error {
	if err := x.readMembers(ctx, into); err != nil {
		return err
	}
	v := reflect.ValueOf(into).Elem()
	var names []string
	for f := range v.Type().Fields() {
		if !v.FieldByIndex(f.Index).IsNil() {
			return nil
		}
		names = append(names, f.Tag.Get("json"))
	}
	return wrongAt("", "must name what to change: "+join(names))
}

func wrongAt(pointer, detail string) error {
	err := fault.New(fault.Content, "The body is not valid")
	err.Fields = []fault.Field{{Pointer: fragment(pointer), Detail: detail}}
	return err
}

// pointed turns the names of parts, which services speak of, into places of the
// body.
func pointed(err error) error {
	f := fault.As(err)
	if f == nil || len(f.Fields) == 0 || f.Fields[0].Pointer != "" {
		return err
	}
	placed := *f
	placed.Fields = slices.Clone(f.Fields)
	for i := range placed.Fields {
		placed.Fields[i].Pointer = fragment("/" + placed.Fields[i].Name)
	}
	return &placed
}

// checkPassword refuses what cannot be the user's password; nil is none.
func checkPassword(name string, password *string) error {
	if password == nil {
		return nil
	}
	if err := accounts.CheckPassword(name, *password); err != nil {
		return wrongAt("/password", fault.As(err).Msg)
	}
	return nil
}

// wordRules are the validate tags of texts that the accounts have rules for. Read
// only.
var wordRules = map[string]func(string) error{
	"username": func(s string) error { _, err := accounts.CanonicalName(s); return err },
	"role":     accounts.CheckRole,
	"tenant":   accounts.CheckTenant,
	"network":  func(s string) error { _, err := accounts.ParseNetwork(s); return err },
	"scope":    checkScope,
	"span":     func(s string) error { _, err := parseSpan(s); return err },
	"moment":   func(s string) error { _, err := parseMoment(s, time.Time{}); return err },
}
