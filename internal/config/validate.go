package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"onnxgate/internal/apikey"
)

// Validate checks ranges and what settings mean together. Its error is of type
// SettingErrors. Load has done it already.
func (c *Config) Validate() error {
	if problems := c.problems(); len(problems) > 0 {
		return SettingErrors(problems)
	}
	return nil
}

func (c *Config) problems() []Problem {
	return append(c.outOfRange(), c.contradictions()...)
}

// outOfRange checks each field by its own tag.
func (c *Config) outOfRange() []Problem {
	v := validator.New()
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("setting") })
	faults, ok := errors.AsType[validator.ValidationErrors](v.Struct(c))
	if !ok {
		return nil
	}
	wants := map[string]string{}
	for _, s := range Settings() {
		wants[s.Name] = s.Want
	}
	problems := make([]Problem, len(faults))
	for i, f := range faults {
		problems[i] = Problem{f.Field(), outOfRangeText(f) + "; write " + wants[f.Field()]}
	}
	return problems
}

func outOfRangeText(f validator.FieldError) string {
	if f.Value() == "" {
		return "is not set"
	}
	value := fmt.Sprint(f.Value())
	switch f.Tag() {
	case "dir":
		return shownPath(value) + " is no folder"
	case "file":
		return shownPath(value) + " is no file"
	case "oneof":
		return shown(value) + " is not one of the choices"
	case "excludesall":
		return shown(value) + " is a path"
	default:
		return value + " is out of range"
	}
}

// clientCertificates are asked for by TLS, and judged by the authorities' file.
func (c *Config) clientCertificates(report func(setting, detail string)) {
	asked := c.ClientCert == "request" || c.ClientCert == "require"
	switch {
	case asked && !c.TLS:
		report("ONNXGATE_CLIENT_CERT", "asks for client certificates, and ONNXGATE_TLS is off; turn TLS on")
	case asked && c.ClientCAFile == "":
		report("ONNXGATE_CLIENT_CA_FILE", "is not set; name the PEM file with the authorities that sign client certificates")
	case !asked && c.ClientCAFile != "":
		report("ONNXGATE_CLIENT_CERT", "is off, and ONNXGATE_CLIENT_CA_FILE is set; write request or require, or unset that")
	}
	if c.ClientCRLFile != "" && c.ClientCAFile == "" {
		report("ONNXGATE_CLIENT_CRL_FILE", "is set, and ONNXGATE_CLIENT_CA_FILE is not; revocation lists are checked by those authorities")
	}
}

// contradictions checks what one field cannot know alone.
func (c *Config) contradictions() []Problem {
	var problems []Problem
	report := func(setting, detail string) { problems = append(problems, Problem{setting, detail}) }
	if !c.TLS {
		c.plainHTTP(report)
	}
	c.clientCertificates(report)
	if c.JWTSecret.IsSet() {
		if why := weakness(c.JWTSecret.Reveal()); why != "" {
			report("ONNXGATE_JWT_SECRET", why+"; write the output of: openssl rand -base64 32")
		}
		if c.origins["ONNXGATE_JWT_ALG"] != "" {
			report("ONNXGATE_JWT_ALG", "is set, and so is ONNXGATE_JWT_SECRET, which means HS256; unset one of them")
		}
	}
	if c.BootstrapAPIKey.IsSet() {
		if _, err := apikey.Whole(c.BootstrapAPIKey.Reveal()); err != nil {
			report("ONNXGATE_BOOTSTRAP_API_KEY", err.Error()+"; write the output of: onnxgate apikey generate")
		}
	}
	if len(c.RatePredict.Rows) > 0 && c.RatePredictPer == "address" {
		report("ONNXGATE_RATE_PREDICT", "counts rows, and an address is counted before its rows are known; leave them out, or write ONNXGATE_RATE_PREDICT_PER=principal")
	}
	c.sameAddress(report)
	return problems
}

// sameAddress refuses two listeners at one address.
func (c *Config) sameAddress(report func(setting, detail string)) {
	taken := map[string]string{c.Addr: "public"}
	for _, l := range []struct{ setting, name, addr string }{
		{"ONNXGATE_ADMIN_ADDR", "administration", c.AdminAddr}, {"ONNXGATE_GRPC_ADDR", "gRPC", c.GRPCAddr},
	} {
		if l.addr == "" || strings.HasSuffix(l.addr, ":0") {
			continue
		}
		if other := taken[l.addr]; other != "" {
			report(l.setting, "is the address of the "+other+" listener; write another port, or off")
		}
		taken[l.addr] = l.name
	}
}

// plainHTTP checks what follows from TLS being off: passwords and tokens must
// not cross a network in the clear unless a flag says so.
func (c *Config) plainHTTP(report func(setting, detail string)) {
	if c.TLSCertFile != "" {
		report("ONNXGATE_TLS", "is off, and ONNXGATE_TLS_CERT_FILE is set; unset one of them")
	}
	if c.InsecureHTTP {
		return
	}
	for _, l := range []struct{ setting, addr string }{{"ONNXGATE_ADDR", c.Addr}, {"ONNXGATE_ADMIN_ADDR", c.AdminAddr}, {"ONNXGATE_GRPC_ADDR", c.GRPCAddr}} {
		if l.addr != "" && !IsLoopback(l.addr) {
			report(l.setting, fmt.Sprintf("%s is not a loopback address, and ONNXGATE_TLS is off; turn TLS on, "+
				"bind to 127.0.0.1, or start with --insecure-http to send passwords and tokens in the clear", l.addr))
		}
	}
}

// IsLoopback reports whether a listener at addr, host:port, can be reached from
// this machine alone. A name other than localhost counts as reachable.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
