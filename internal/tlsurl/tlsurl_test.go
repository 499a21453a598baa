package tlsurl_test

import (
	"net/url"
	"strings"
	"testing"

	"onnxgate/internal/tlsurl"
)

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		url     string
		tls     bool
		refused string // a part of the error
	}{
		"another scheme has no TLS":      {url: "plain://h"},
		"another scheme has no files":    {url: "plain://h?ca_file=x", refused: "with tls:// alone"},
		"the system's authorities":       {url: "tls://h:1", tls: true},
		"a name that is not known":       {url: "tls://h?insecure=1", refused: "may have ca_file"},
		"a file twice":                   {url: "tls://h?ca_file=a&ca_file=b", refused: "once each"},
		"a query that cannot be read":    {url: "tls://h?ca_file=%zz", refused: "may have ca_file"},
		"authorities that are not there": {url: "tls://h?ca_file=/nowhere/ca.pem", refused: "ca_file: open /nowhere/ca.pem"},
		"a file without authorities":     {url: "tls://h?ca_file=tlsurl_test.go", refused: "holds no certificate in PEM"},
		"a certificate without its key":  {url: "tls://h?cert_file=tlsurl_test.go", refused: "cert_file, key_file"},
		"a pair that is not there":       {url: "tls://h?cert_file=/nowhere/c&key_file=/nowhere/k", refused: "cert_file, key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			c, err := tlsurl.Config(u, "tls")
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("error %v, want one with %q", err, tc.refused)
				}
				return
			}
			if err != nil || (c != nil) != tc.tls {
				t.Fatalf("%v, %v", c, err)
			}
			if c != nil && (c.ServerName != "h" || c.InsecureSkipVerify) {
				t.Errorf("verifies %q, insecure %v", c.ServerName, c.InsecureSkipVerify)
			}
		})
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"localhost.example.com": false, "10.0.0.1": false, "example.com": false, "": false, "::ffff:10.0.0.1": false,
	} {
		if got := tlsurl.IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
