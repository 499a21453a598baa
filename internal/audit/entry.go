package audit

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Entry is a record as it is read from a log: its JSON object has all of the names
// below, in this order.
type Entry struct {
	Index     int64
	Time      time.Time
	Event     Event
	Actor     string
	Tenant    string
	Method    string
	Address   string
	Model     string
	Version   string
	Digest    string
	Decision  Decision
	Rule      Rule
	Rows      int64
	LatencyMS float64
	RequestID string
	Outcome   string

	// What follows is there only where there is something to say.

	// Issuer is of an actor that another issuer's token names.
	Issuer string
	// ActorTenant is the actor's where the record is another tenant's.
	ActorTenant string
	Object      string
	Changes     Changes
	Beside      []Credential
	Count       int64
	Input       string
	// Token is the id of the access token that was used.
	Token string
	// Missing says why what was sealed is not here: MissingErased, MissingLost, or
	// MissingPruned.
	Missing string
}

// Why an entry does not say what was sealed.
const (
	// MissingErased is for a key that was destroyed on purpose.
	MissingErased = "erased"
	// MissingLost is for a key that is in none of the files it should be in.
	MissingLost = "lost"
	// MissingPruned is for a record of which only the hash is kept.
	MissingPruned = "pruned"
)

// generalPart is what of an entry concerns nobody alone, and is sealed by the
// tenant's key.
type generalPart struct {
	Method, Model, Version, Digest string
	Decision                       Decision
	Rule                           *int
	Rows, Count, LatencyUS         int64
	RequestID, Outcome, Object     string
	Changes                        Changes
}

// UnmarshalJSON reads an array of the members, of which the last may be missing.
func (p *generalPart) UnmarshalJSON(data []byte) error {
	list := []any{
		&p.Method, &p.Model, &p.Version, &p.Digest, &p.Decision, &p.Rule, &p.Rows, &p.Count, &p.LatencyUS, &p.RequestID, &p.Outcome, &p.Object, &p.Changes,
	}
	return json.Unmarshal(data, &list)
}

// sealedPart is what of an entry a person's key seals, and in lines of before
// everything that is sealed.
type sealedPart struct {
	Actor     string       `json:"actor"`
	Home      string       `json:"actor_tenant"`
	Issuer    string       `json:"issuer"`
	Object    string       `json:"object"`
	Changes   Changes      `json:"changes"`
	Method    string       `json:"method"`
	Address   string       `json:"address"`
	Model     string       `json:"model"`
	Version   string       `json:"version"`
	Digest    string       `json:"digest"`
	Decision  Decision     `json:"decision"`
	Rule      *int         `json:"rule"`
	Rows      int64        `json:"rows"`
	Count     int64        `json:"count"`
	LatencyMS float64      `json:"latency_ms"`
	RequestID string       `json:"request_id"`
	Input     string       `json:"input"`
	Token     string       `json:"token"`
	Outcome   string       `json:"outcome"`
	Beside    []sealedUser `json:"beside"`
}

type sealedUser struct {
	Actor  string `json:"actor"`
	Issuer string `json:"issuer"`
	Method string `json:"method"`
}

// take takes over what a part says.
func (e *Entry) take(body []byte) error {
	if len(body) > 0 && body[0] == '[' {
		return e.takeGeneral(body)
	}
	var p sealedPart
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	for _, b := range p.Beside {
		e.Beside = append(e.Beside, Credential(b))
	}
	for _, v := range []struct {
		to   *string
		from string
	}{
		{&e.Actor, p.Actor},
		{&e.ActorTenant, p.Home},
		{&e.Issuer, p.Issuer},
		{&e.Object, p.Object},
		{&e.Method, p.Method},
		{&e.Address, p.Address},
		{&e.Model, p.Model},
		{&e.Version, p.Version},
		{&e.Digest, p.Digest},
		{&e.RequestID, p.RequestID},
		{&e.Input, p.Input},
		{&e.Token, p.Token},
		{&e.Outcome, p.Outcome},
		{(*string)(&e.Decision), string(p.Decision)},
	} {
		if v.from != "" {
			*v.to = v.from
		}
	}
	if len(p.Changes) > 0 {
		e.Changes = p.Changes
	}
	if p.Rule != nil {
		e.Rule = RuleOf(*p.Rule)
	}
	e.Rows, e.Count, e.LatencyMS = e.Rows+p.Rows, e.Count+p.Count, e.LatencyMS+p.LatencyMS
	return nil
}

// takeGeneral takes over what the tenant's key sealed.
func (e *Entry) takeGeneral(body []byte) error {
	var p generalPart
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	e.Method, e.Model, e.Version, e.Digest, e.Decision = p.Method, p.Model, p.Version, p.Digest, p.Decision
	e.Rows, e.Count, e.LatencyMS = p.Rows, p.Count, float64(p.LatencyUS)/1000
	e.RequestID, e.Outcome, e.Object, e.Changes = p.RequestID, p.Outcome, p.Object, p.Changes
	if p.Rule != nil {
		e.Rule = RuleOf(*p.Rule)
	}
	return nil
}

// AppendJSON appends the entry as one JSON object on one line, in which nothing
// steers a terminal.
func (e *Entry) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, e.Index, 10)
	for _, c := range columns[1:] {
		dst = append(dst, ',', '"')
		dst = append(dst, c.name...)
		dst = append(dst, '"', ':')
		dst = c.json(e, dst)
	}
	dst = appendField(dst, "actor_tenant", e.ActorTenant)
	dst = appendField(dst, "issuer", e.Issuer)
	dst = appendField(dst, "object", e.Object)
	dst = appendChanged(dst, e.Changes)
	if len(e.Beside) > 0 {
		dst = append(dst, `,"beside":[`...)
		for i, b := range e.Beside {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendField(append(dst, '{'), "actor", b.Actor)
			dst = appendField(dst, "issuer", b.Issuer)
			dst = append(appendField(dst, "method", b.Method), '}')
		}
		dst = append(dst, ']')
	}
	dst = appendCount(dst, "count", e.Count)
	dst = appendField(dst, "input", e.Input)
	dst = appendField(dst, "token", e.Token)
	return append(appendField(dst, "missing", e.Missing), '}')
}

// MarshalJSON is AppendJSON.
func (e *Entry) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// column is a member of every entry.
type column struct {
	name string
	json func(e *Entry, dst []byte) []byte
}

// columns are the members that every entry has, in their order.
var columns = []column{
	{"index", func(e *Entry, dst []byte) []byte { return strconv.AppendInt(dst, e.Index, 10) }},
	{"time", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Time.UTC().Format(timeLayout)) }},
	{"event", func(e *Entry, dst []byte) []byte { return appendString(dst, string(e.Event)) }},
	{"actor", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Actor) }},
	{"tenant", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Tenant) }},
	{"method", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Method) }},
	{"address", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Address) }},
	{"model", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Model) }},
	{"version", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Version) }},
	{"digest", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Digest) }},
	{"decision", func(e *Entry, dst []byte) []byte { return appendString(dst, string(e.Decision)) }},
	{"rule", func(e *Entry, dst []byte) []byte {
		if number, ok := e.Rule.Number(); ok {
			return strconv.AppendInt(dst, int64(number), 10)
		}
		return append(dst, "null"...)
	}},
	{"rows", func(e *Entry, dst []byte) []byte { return strconv.AppendInt(dst, e.Rows, 10) }},
	{"latency_ms", func(e *Entry, dst []byte) []byte { return strconv.AppendFloat(dst, e.LatencyMS, 'f', -1, 64) }},
	{"request_id", func(e *Entry, dst []byte) []byte { return appendString(dst, e.RequestID) }},
	{"outcome", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Outcome) }},
}

// timeLayout is RFC 3339 to the microsecond.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// further are the columns of a table that not every entry has.
var further = []column{
	{"issuer", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Issuer) }},
	{"object", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Object) }},
	{"actor_tenant", func(e *Entry, dst []byte) []byte { return appendString(dst, e.ActorTenant) }},
	{"changes", func(e *Entry, dst []byte) []byte {
		if len(e.Changes) == 0 {
			return append(dst, "null"...)
		}
		return appendChanges(dst, e.Changes)
	}},
	{"beside", func(e *Entry, dst []byte) []byte {
		all := make([]string, len(e.Beside))
		for i, b := range e.Beside {
			all[i] = b.Method + ":" + b.Actor
		}
		return appendString(dst, strings.Join(all, " "))
	}},
	{"count", func(e *Entry, dst []byte) []byte {
		if e.Count == 0 {
			return append(dst, "null"...)
		}
		return strconv.AppendInt(dst, e.Count, 10)
	}},
	{"input", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Input) }},
	{"token", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Token) }},
	{"missing", func(e *Entry, dst []byte) []byte { return appendString(dst, e.Missing) }},
}

// CSVHeader returns the names of the columns of AppendCSV.
func CSVHeader() []string {
	var names []string
	for _, list := range [][]column{columns, further} {
		for _, c := range list {
			names = append(names, c.name)
		}
	}
	return names
}

// CSVRow returns the cells of the entry. In none of them is anything that steers a
// terminal, and none begins as a formula of a spreadsheet does.
func (e *Entry) CSVRow() []string {
	var cells []string
	for _, list := range [][]column{columns, further} {
		for _, c := range list {
			cells = append(cells, cell(c.json(e, nil)))
		}
	}
	return cells
}

// cell makes a cell of a JSON value: escapes stay, except those of JSON's own
// syntax.
func cell(value []byte) string {
	if string(value) == "null" {
		return ""
	}
	if value[0] != '"' {
		return string(value)
	}
	var text []byte
	for value = value[1 : len(value)-1]; len(value) > 0; value = value[1:] {
		if value[0] == '\\' && (value[1] == '"' || value[1] == '\\') {
			value = value[1:]
		}
		text = append(text, value[0])
	}
	switch {
	case len(text) == 0:
		return ""
	case text[0] == '=', text[0] == '+', text[0] == '-', text[0] == '@':
		return "'" + string(text)
	}
	return string(text)
}
