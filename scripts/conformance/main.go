// Command conformance holds a server to the Open Inference Protocol V2:
//
//	go run ./scripts/conformance https://127.0.0.1:8443 --cacert ca.crt --token-file token --model simple
//
// It knows nothing of the server but its address. It reads the metadata of the
// models, makes valid and invalid requests from them, and says for each case which
// clause it tests, what was expected and what came. The models `simple` (of Triton's
// examples), `iris` and `identity…` (each output is the input in its place) are held
// to their values as well.
//
// The exit status is 0 when every case of level MUST holds or is not applicable, 1
// when one fails, and 2 when the command line is wrong or the server is not there.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

const (
	exitConforms = iota
	exitDeviates
	exitUsage
)

// options are the command line.
type options struct {
	url        string
	grpcAddr   string
	caFile     string
	insecure   bool
	headers    []string
	tokenFile  string
	models     []string
	extensions []string
	unload     string
	request    string
	timeout    time.Duration
	only       string
	format     string
	list       bool
	page       string
}

// run reads the command line, runs the cases and writes the report.
func run(ctx context.Context, args []string, out io.Writer) (int, error) {
	opt, rest, err := parse(args, out)
	if err != nil {
		return exitUsage, err
	}
	if opt.page != "" {
		return exitConforms, writePage(opt.page, rest)
	}
	cases, err := selected(opt.only) //nolint:contextcheck // cases get theirs when they are run
	if err != nil {
		return exitUsage, err
	}
	if opt.list {
		return exitConforms, writeList(out, cases)
	}
	t, err := newTarget(ctx, opt)
	if err != nil {
		return exitUsage, err
	}
	defer t.close()
	results := runAll(ctx, t, cases)
	if err := ctx.Err(); err != nil {
		return exitUsage, err
	}
	if err := writers[opt.format](out, t.report(results)); err != nil {
		return exitUsage, err
	}
	if count(results, must)[failed] > 0 {
		return exitDeviates, nil
	}
	return exitConforms, nil
}

func parse(args []string, out io.Writer) (options, []string, error) {
	var opt options
	flags := pflag.NewFlagSet("conformance", pflag.ContinueOnError)
	flags.SetOutput(out)
	flags.SortFlags = false
	flags.Usage = func() {
		_, _ = fmt.Fprintf(out, "usage: conformance URL [flags]\n       conformance --list\n       conformance --page FILE REPORT.json…\n\n%s", flags.FlagUsages())
	}
	flags.StringVar(&opt.grpcAddr, "grpc", "", "host:port of the gRPC service; TLS when the URL is https")
	flags.StringVar(&opt.caFile, "cacert", "", "file of certificates to trust, instead of the system's")
	flags.BoolVar(&opt.insecure, "insecure", false, "do not verify the server's certificate")
	flags.StringArrayVarP(&opt.headers, "header", "H", nil, `header of every request, "Name: value"; metadata in gRPC`)
	flags.StringVar(&opt.tokenFile, "token-file", "", "file with a token to send as Authorization: Bearer")
	flags.StringSliceVarP(&opt.models, "model", "m", nil, "models to use, the most important first (default: all that the server lists)")
	flags.StringSliceVar(&opt.extensions, "extension", nil, "extensions to test although the server does not advertise them")
	flags.StringVar(&opt.request, "request", "", "file with an inference request in JSON that the first model takes; requests are made of its rows")
	flags.StringVar(&opt.unload, "unload", "", "model that may be unloaded and loaded again")
	flags.DurationVar(&opt.timeout, "timeout", 10*time.Second, "time for one answer")
	flags.StringVar(&opt.only, "only", "", "run the cases whose names match this regular expression")
	flags.StringVar(&opt.format, "format", "table", "table, json or junit")
	flags.BoolVar(&opt.list, "list", false, "list the cases and run none")
	flags.StringVar(&opt.page, "page", "", "write the tables of reports in JSON into this page")
	if err := flags.Parse(args); err != nil {
		return opt, nil, err
	}
	if writers[opt.format] == nil {
		return opt, nil, fmt.Errorf("--format %s: write table, json or junit", opt.format)
	}
	if opt.list || opt.page != "" {
		return opt, flags.Args(), nil
	}
	if flags.NArg() != 1 {
		return opt, nil, errors.New("give the URL of one server; --help shows the flags")
	}
	if slices.Contains(opt.models, "") {
		return opt, nil, errors.New("--model: a name is empty")
	}
	opt.url = strings.TrimRight(flags.Arg(0), "/")
	return opt, nil, nil
}

func selected(only string) ([]testCase, error) {
	if only == "" {
		return allCases(), nil
	}
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	cases := matching(allCases(), pattern)
	if len(cases) == 0 {
		return nil, fmt.Errorf("--only %s: no case has such a name", only)
	}
	return cases, nil
}

// newTarget makes the client and reads what the server says of itself.
func newTarget(ctx context.Context, opt options) (*target, error) {
	u, err := url.Parse(opt.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no http or https URL", opt.url)
	}
	header, err := opt.header()
	if err != nil {
		return nil, err
	}
	config, err := opt.tls()
	if err != nil {
		return nil, err
	}
	t := &target{
		base: opt.url, caFile: opt.caFile, header: header, timeout: opt.timeout, extensions: opt.extensions, unload: opt.unload,
		http: &http.Client{
			Transport:     &http.Transport{TLSClientConfig: config, DisableCompression: true, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if opt.grpcAddr != "" {
		if u.Scheme == "http" {
			config = nil
		}
		if t.grpc, err = dial(opt.grpcAddr, config, header); err != nil {
			return nil, fmt.Errorf("--grpc: %w", err)
		}
	}
	err = t.discover(ctx, opt.models)
	if err == nil && opt.request != "" {
		if err = t.give(opt.request); err != nil {
			err = fmt.Errorf("--request: %w", err)
		}
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *target) close() {
	t.http.CloseIdleConnections()
	if t.grpc != nil {
		_ = t.grpc.conn.Close() // nothing is sent any more
	}
}

// header is what every request carries.
func (o options) header() (http.Header, error) {
	h := http.Header{}
	for _, line := range o.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errors.New(`--header: write "Name: value"`)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if o.tokenFile != "" {
		token, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		h.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return h, nil
}

func (o options) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.insecure} //nolint:gosec // the flag says so
	if o.caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--cacert: no certificate in %s", o.caFile)
	}
	return config, nil
}
