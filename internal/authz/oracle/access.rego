# The rules of access, written a second time from their description and in another
# language, so that a test can hold both against each other. Input is a policy and
# a request; lists that were not written are null.
package access

# permitted: every credential has a role that grants what the action asks for,
# and a scope that was not narrowed away.
granted := {
	"user": {"models:read", "models:predict"},
	"owner": {"models:read", "models:predict", "models:write"},
	"auditor": {"models:read"},
	"admin": {"models:read", "models:predict", "models:write"},
}

default permitted := false

permitted if {
	count(input.principals) > 0
	permission := concat(":", ["models", input.action])
	every p in input.principals {
		permission in p.scopes
		some role in p.roles
		permission in granted[role]
	}
}

# decision: the first credential that is refused says why; when none is, the first
# one's rule is named.
refused := [d | some p in input.principals; d := decide(p); not d.allow]

decision := refused[0] if count(refused) > 0

decision := decide(input.principals[0]) if {
	count(input.principals) > 0
	count(refused) == 0
}

decision := {"allow": false, "rule": -1} if count(input.principals) == 0

decide(p) := {"allow": false, "rule": -1} if not reaches(p)

decide(p) := {"allow": false, "rule": min(denying(p))} if {
	reaches(p)
	count(denying(p)) > 0
}

decide(p) := {"allow": true, "rule": min(allowing(p))} if {
	reaches(p)
	count(denying(p)) == 0
	count(allowing(p)) > 0
}

decide(p) := {"allow": false, "rule": -1} if {
	reaches(p)
	count(denying(p)) == 0
	count(allowing(p)) == 0
}

reaches(p) if p.models == null

reaches(p) if input.model in p.models

denying(p) := {n |
	some i, rule in input.policy.rules
	n := i + 1
	rule.deny
	input.action in rule.actions
	matches(rule, p)
}

allowing(p) := short(p) | {n |
	some i, rule in input.policy.rules
	n := i + 1
	not rule.deny
	some action in enough[input.action]
	action in rule.actions
	matches(rule, p)
}

# Whoever may predict may read what to send.
enough := {"predict": {"predict"}, "read": {"read", "predict"}, "write": {"write"}}

short(p) := {n |
	n := 0
	input.action in {"predict", "read"}
	some role in input.policy.roles
	role in p.roles
}

matches(rule, p) if {
	any_of(rule.tenants, [p.tenant])
	any_of(rule.roles, p.roles)
	any_of(rule.scopes, p.scopes)
	any_of(rule.issuers, {i | i := issuer(p); i != ""})
	subject(rule, p)
	address(rule)
	every claim in rule.when {
		holds(claim, p)
	}
}

any_of(list, _) if list == null

any_of(list, values) if {
	some value in values
	value in list
}

ours(p) if {
	p.issuer == ""
	p.method != "oidc"
}

issuer(p) := p.issuer if not ours(p)

issuer(p) := object.get(p.claims, "iss", "") if ours(p)

subject(rule, _) if rule.subjects == null

subject(rule, p) if {
	p.subject in rule.subjects
	known_issuer(rule, p)
}

known_issuer(rule, _) if rule.issuers != null

known_issuer(_, p) if ours(p)

address(rule) if rule.addresses == null

address(rule) if {
	some network in rule.addresses
	net.cidr_contains(network, input.address)
}

holds(claim, p) if {
	credible(claim, p)
	value := lookup(p.claims, claim.name)
	some allowed in claim.values
	allowed in one_or_many(value)
}

credible(claim, _) if claim.name != "email"

credible(_, p) if ours(p)

credible(_, p) if p.claims.email_verified == true

one_or_many(value) := value if is_array(value)

one_or_many(value) := [value] if not is_array(value)

lookup(claims, name) := claims[name]

lookup(claims, name) := value if {
	not name in object.keys(claims)
	value := object.get(claims, split(name, "."), set())
	value != set()
}

# What the catalog answers: input.models are all there are, input.name is what
# the principal asks for.
tenant := input.principals[0].tenant

own := [m | some m in input.models; m.tenant == tenant; m.name == input.name]

# The default tenant's come first among shared ones, then the owners by name.
candidates := sort([[rank[m.tenant == "default"], m.tenant, i] |
	some i, m in input.models
	m.name == input.name
	m.tenant != tenant
	some word in m.share
	word in {tenant, "*"}
])

rank := {true: 0, false: 1}

model := own[0] if count(own) > 0

model := input.models[candidates[0][2]] if {
	count(own) == 0
	count(candidates) > 0
}

default outcome := "not found"

outcome := "unauthenticated" if {
	model
	not layered
}

outcome := "forbidden" if {
	layered
	verdict := decision with input.policy as model.policy
	not verdict.allow
}

outcome := sprintf("%s of %s", [model.name, model.tenant]) if {
	layered
	verdict := decision with input.policy as model.policy
	verdict.allow
}

layered if {
	every layer in model.require {
		some p in input.principals
		p.tenant == tenant
		p.method in proofs[layer]
	}
}

proofs := {"bearer": {"bearer", "oidc"}, "api_key": {"api_key"}, "certificate": {"certificate"}}
