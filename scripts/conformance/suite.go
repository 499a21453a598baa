package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// level is how strongly a case binds a server.
type level string

const (
	// must: the specification says it, or leaves no other right answer.
	must level = "MUST"
	// should: the specification says it in one of its documents or examples only,
	// or a lenient server could still answer rightly.
	should level = "SHOULD"
	// may: an extension that the server advertises.
	may level = "MAY"
)

// outcome is how a case ended.
type outcome string

const (
	passed        outcome = "pass"
	failed        outcome = "fail"
	notApplicable outcome = "n/a"
)

// testCase is one requirement of the protocol.
type testCase struct {
	name   string
	level  level
	clause string  // document and section
	want   string  // what the clause asks for, in one line
	choose chooser // nil: no model is needed
	run    func(*probe) error
}

// chooser picks the model that a case is run on, or says why there is none.
type chooser func(*target) (*model, error)

// result is what a case found.
type result struct {
	Name     string  `json:"name"`
	Level    level   `json:"level"`
	Clause   string  `json:"clause"`
	Status   outcome `json:"status"`
	Expected string  `json:"expected"`
	Got      string  `json:"got,omitzero"`     // of a failure, or why it is not applicable
	Request  string  `json:"request,omitzero"` // a curl line that shows a failure again
	Seconds  float64 `json:"seconds"`
}

// inapplicable is the error of a case whose subject the server does not have.
type inapplicable struct{ why string }

func (e inapplicable) Error() string { return e.why }

// missing says that a case is not applicable, and why.
func missing(format string, args ...any) error {
	return inapplicable{fmt.Sprintf(format, args...)}
}

// allCases are all cases, in the order in which they are run and shown.
func allCases() []testCase {
	return slices.Concat(
		serverCases(), modelCases(), inferCases(), datatypeCases(), refusalCases(), httpCases(), batchCases(),
		binaryCases(), binaryRefusalCases(), compressionCases(), repositoryCases(), statisticsCases(),
		otherExtensionCases(), grpcCases(), grpcRefusalCases(), lifecycleCases(),
	)
}

// matching are the cases whose names match, all without a pattern.
func matching(cases []testCase, only *regexp.Regexp) []testCase {
	if only == nil {
		return cases
	}
	return slices.DeleteFunc(cases, func(c testCase) bool { return !only.MatchString(c.name) })
}

// runAll runs cases one after the other.
func runAll(ctx context.Context, t *target, cases []testCase) []result {
	results := make([]result, 0, len(cases))
	for _, c := range cases {
		if ctx.Err() != nil {
			break
		}
		results = append(results, runOne(ctx, t, c))
	}
	return results
}

func runOne(ctx context.Context, t *target, c testCase) result {
	start := time.Now()
	p := &probe{ctx: ctx, t: t}
	err := func() (err error) {
		if c.choose != nil {
			if p.m, err = c.choose(t); err != nil {
				return err
			}
		}
		return c.run(p)
	}()
	r := result{Name: c.name, Level: c.level, Clause: c.clause, Status: passed, Expected: c.want, Seconds: time.Since(start).Seconds()}
	var na inapplicable
	switch {
	case errors.As(err, &na):
		r.Status, r.Got = notApplicable, na.why
	case err != nil:
		r.Status, r.Got = failed, oneLine(err.Error())
		if p.last != nil {
			r.Request = p.last.curl(t)
		}
	}
	return r
}

// firstAsked chooses the first model, whatever its metadata say.
func firstAsked(t *target) (*model, error) { return t.asked[0], nil }

// anyModel chooses the first model that requests can be made for.
func anyModel(t *target) (*model, error) {
	return modelWith("", func(*model) bool { return true })(t)
}

// modelWith chooses the first model for which ok holds; what says what is lacking.
func modelWith(what string, ok func(*model) bool) chooser {
	return func(t *target) (*model, error) {
		if len(t.models) == 0 {
			return nil, missing("no model's metadata could be read: %s", t.unread)
		}
		if i := slices.IndexFunc(t.models, ok); i >= 0 {
			return t.models[i], nil
		}
		return nil, missing("no model with %s", what)
	}
}

var (
	batchedModel = modelWith("a first dimension of -1", (*model).batched)
	simpleModel  = modelWith("the name and the tensors of `simple`", (*model).isSimple)
	irisModel    = modelWith("the name and the tensors of `iris`", (*model).isIris)
	twoInputs    = modelWith("two inputs", func(m *model) bool { return len(m.Inputs) > 1 })
	twoOutputs   = modelWith("two outputs", func(m *model) bool { return len(m.Outputs) > 1 })
	versioned    = modelWith("versions in its metadata", func(m *model) bool { return len(m.Versions) > 0 })
)

// numeric chooses a model with an input of a class of datatypes; see class.
func numeric(classes ...string) chooser {
	return modelWith(fmt.Sprintf("an input of the kind %v", classes), func(m *model) bool {
		return m.indexOf(classes...) >= 0
	})
}

// preferring chooses a model for which ok holds, one that is liked first.
func preferring(liked func(*model) bool, what string, ok func(*model) bool) chooser {
	best := modelWith("", func(m *model) bool { return liked(m) && ok(m) })
	other := modelWith(what, ok)
	return func(t *target) (*model, error) {
		if m, err := best(t); err == nil {
			return m, nil
		}
		return other(t)
	}
}

// withDatatype chooses a model with an input of the datatype, one that answers its
// inputs first.
func withDatatype(datatype string) chooser {
	return preferring((*model).isIdentity, "an input of "+datatype, func(m *model) bool { return m.index(datatype) >= 0 })
}

// extension chooses as next does when the server advertises one of the names.
func extension(next chooser, names ...string) chooser {
	return func(t *target) (*model, error) {
		for _, name := range names {
			if slices.Contains(t.extensions, name) {
				return next(t)
			}
		}
		return nil, missing("the server does not advertise %s", names[0])
	}
}
