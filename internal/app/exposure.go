package app

import (
	"strconv"
	"strings"

	"onnxgate/internal/admission"
	"onnxgate/internal/config"
	"onnxgate/internal/grpcapi"
	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
)

// Exposed is one line of the exposure table: what can be reached, by whom, from
// where, and how often.
type Exposed struct {
	Route string `json:"route"`
	Who   string `json:"who"`
	From  string `json:"from"`
	Limit string `json:"limit"`
}

// Exposure returns what a server with this configuration opens to others.
func Exposure(cfg *config.Config) []Exposed {
	options := httpapi.RouteOptions{Docs: cfg.Docs, MaxBody: cfg.MaxBody, OpenMetrics: config.IsLoopback(cfg.AdminAddr), Profiles: cfg.Pprof}
	table := exposed(cfg, httpapi.PublicRoutes(options), cfg.Addr)
	if cfg.AdminAddr != "" {
		table = append(table, exposed(cfg, httpapi.AdminRoutes(options), cfg.AdminAddr)...)
	}
	if cfg.GRPCAddr != "" {
		table = append(table, exposedMethods(cfg)...)
	}
	return table
}

// exposedMethods is the part of the gRPC listener.
func exposedMethods(cfg *config.Config) []Exposed {
	var table []Exposed
	for _, m := range grpcapi.Methods(cfg.Docs) {
		line := Exposed{Route: "gRPC " + m.Name, Who: "everybody", From: reach(cfg, cfg.GRPCAddr), Limit: rateOf(cfg, m.Rate)}
		if !m.Open {
			line.Who = "token: permission " + m.Permission
		}
		if m.OfModel {
			line.Who += ", a role of the model"
		}
		table = append(table, line)
	}
	return table
}

func exposed(cfg *config.Config, routes []httpapi.Route, addr string) []Exposed {
	var table []Exposed
	from := reach(cfg, addr)
	assets := false
	for i := range routes {
		r := &routes[i]
		pattern := r.Pattern
		if strings.HasPrefix(pattern, "/docs/") { // the page's own files: one line
			if assets {
				continue
			}
			pattern, assets = "/docs/{asset}", true
		}
		line := Exposed{Route: r.Method + " " + pattern, Who: who(r), From: from, Limit: rateOf(cfg, r.Rate())}
		if r.Permission == identity.CryptoUse && line.Limit != "none" { // no rows are sealed
			line.Limit = shared(cfg, identity.Limit{Requests: cfg.RatePredict.Requests})
		}
		table = append(table, line)
	}
	return table
}

// reach says who can open a connection to a listener.
func reach(cfg *config.Config, addr string) string {
	where := "any host that reaches " + addr
	if config.IsLoopback(addr) {
		where = "this machine (" + addr + ")"
	}
	if !cfg.TLS {
		where += ", unencrypted"
	}
	return where
}

func who(r *httpapi.Route) string {
	if r.Auth == httpapi.Public {
		return "everybody"
	}
	var needs []string
	if r.Permission != "" {
		needs = append(needs, "permission "+r.Permission)
	}
	if strings.HasPrefix(r.Pattern, "/models") || r.Permission == identity.ModelsPredict {
		needs = append(needs, "a role of the model")
	}
	return strings.TrimSuffix("token: "+strings.Join(needs, ", "), ": ")
}

func rateOf(cfg *config.Config, kind admission.Kind) string {
	switch kind {
	case admission.Token:
		return per(cfg, "address", cfg.RateToken.String())
	case admission.Predict:
		return shared(cfg, cfg.RatePredict)
	case admission.Read:
		if len(cfg.RatePredict.Requests) > 0 {
			return strconv.Itoa(admission.ReadFactor) + " times that of predictions per principal"
		}
	case admission.None:
	}
	return "none"
}

// shared is a rate that several routes have in common.
func shared(cfg *config.Config, rate identity.Limit) string {
	if rate.Off() {
		return "none"
	}
	return per(cfg, cfg.RatePredictPer, rate.String()) + " (shared)"
}

func per(cfg *config.Config, whom, rates string) string {
	if rates == "off" {
		return "none"
	}
	if cfg.RedisURL.IsSet() {
		whom += " over all servers"
	}
	return rates + " per " + whom
}
