package authz

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/identity"
	"onnxgate/internal/strictyaml"
)

// MaxRolesFile bounds a file of roles, in bytes.
const MaxRolesFile = 1 << 20

// maxProblems bounds how much one broken file is told.
const maxProblems = 50

// ParseRoles reads the operator's own roles, "role: [permission…]" in YAML, and
// returns them with the built in ones. Its error names each problem by its
// line, and what to write; an empty file has none.
func ParseRoles(data []byte) (Roles, error) {
	if len(data) > MaxRolesFile {
		return Roles{}, fmt.Errorf("larger than %d bytes", MaxRolesFile)
	}
	r := rolesReader{own: map[string][]string{}}
	switch root, ok := strictyaml.Document(data, r.report); {
	case !ok:
	case root == nil:
		return Roles{}, nil
	default:
		r.document(root)
	}
	if err := errors.Join(r.errs...); err != nil {
		return Roles{}, err
	}
	return NewRoles(r.own)
}

// rolesReader collects roles and what is wrong with them.
type rolesReader struct {
	own  map[string][]string
	errs []error
}

func (r *rolesReader) report(line int, format string, args ...any) {
	if len(r.errs) < maxProblems {
		r.errs = append(r.errs, fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...)))
	}
}

func (r *rolesReader) document(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.report(n.Line, "write roles, each with its permissions, such as analyst: [models:read, models:predict]")
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		r.role(n.Content[i], n.Content[i+1])
	}
}

func (r *rolesReader) role(name, list *yaml.Node) {
	_, twice := r.own[name.Value]
	_, taken := builtIn[name.Value]
	switch {
	case !strictyaml.IsText(name) || !identity.IsRole(name.Value):
		r.report(name.Line, "%q is no role: write 1 to 64 characters of a-z, 0-9, _ and -, beginning with a letter", name.Value)
	case twice:
		r.report(name.Line, "the role %s appears twice", name.Value)
	case taken:
		r.report(name.Line, "the role %s is built in; give yours another name", name.Value)
	case list.Kind != yaml.SequenceNode:
		r.report(list.Line, "the role %s needs a list of permissions, such as [models:read, models:predict]; [] grants none", name.Value)
	}
	permissions := []string{}
	for _, item := range list.Content {
		if list.Kind == yaml.SequenceNode {
			permissions = append(permissions, r.permission(item))
		}
	}
	r.own[name.Value] = permissions
}

func (r *rolesReader) permission(n *yaml.Node) string {
	if !strictyaml.IsText(n) || !IsPermission(n.Value) {
		r.report(n.Line, "%q is no permission; there is %s", n.Value, strings.Join(permissions, ", "))
	}
	return n.Value
}
