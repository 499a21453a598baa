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
	// Missing says why what was sealed is not here: MissingErased or MissingLost.
	Missing string
}

// Why an entry does not say what was sealed.
const (
	// MissingErased is for a key that was destroyed on purpose.
	MissingErased = "erased"
	// MissingLost is for a key that is in none of the files it should be in.
	MissingLost = "lost"
)

// sealedPart is what of an entry is sealed.
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
	Outcome   string       `json:"outcome"`
	Beside    []sealedUser `json:"beside"`
}

type sealedUser struct {
	Actor  string `json:"actor"`
	Issuer string `json:"issuer"`
	Method string `json:"method"`
}

// take takes over what one part says.
func (e *Entry) take(body []byte, first bool) error {
	var p sealedPart
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	for _, b := range p.Beside {
		e.Beside = append(e.Beside, Credential(b))
	}
	if p.Object != "" {
		e.Object = p.Object
	}
	if len(p.Changes) > 0 {
		e.Changes = p.Changes
	}
	if !first {
		return nil
	}
	e.Actor, e.ActorTenant, e.Issuer, e.Method, e.Address = p.Actor, p.Home, p.Issuer, p.Method, p.Address
	e.Model, e.Version, e.Digest = p.Model, p.Version, p.Digest
	e.Decision, e.Rows, e.Count, e.LatencyMS = p.Decision, p.Rows, p.Count, p.LatencyMS
	e.RequestID, e.Input, e.Outcome = p.RequestID, p.Input, p.Outcome
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
