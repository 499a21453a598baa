package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

// httpCases are about HTTP beneath the protocol, and requests at the same time.
func httpCases() []testCase {
	const methods = "15.5.6 405 Method Not Allowed"
	return []testCase{
		{"http/infer-content-type", should, openAPI("200 of infer"), "Content-Type: application/json with an answer", anyModel, inferContentType},
		{"http/charset", should, rfc9110("8.3 Content-Type"), "200 to application/json; charset=utf-8", anyModel, withHeader("Content-Type", "application/json; charset=utf-8")},
		{"http/chunked", must, "RFC 9112, 7.1 Chunked Transfer Coding", "200 to a body in chunks without Content-Length", anyModel, withHeader("Transfer-Encoding", "chunked")},
		{"http/accept", should, rfc9110("12.5.1 Accept"), "200 with Accept: application/json", anyModel, withHeader("Accept", "application/json")},
		{"http/unknown-header", must, rfc9110("5.1 Field Names"), "200 with a header that the server does not know", anyModel, withHeader("X-Conformance", "1")},
		{"http/get-infer", should, rfc9110(methods), "4xx to GET of infer", anyModel, method(http.MethodGet, "/infer")},
		{"http/put-infer", should, rfc9110(methods), "4xx to PUT of infer", anyModel, method(http.MethodPut, "/infer")},
		{"http/delete-model", should, rfc9110(methods), "4xx to DELETE of the model", anyModel, method(http.MethodDelete, "")},
		{"http/post-metadata", should, rfc9110(methods), "4xx to POST of the model", anyModel, method(http.MethodPost, "")},
		{"http/head-metadata", should, rfc9110("9.3.2 HEAD"), "200 to HEAD of the model", anyModel, headMetadata},
		{"http/query", should, "RFC 3986, 3.4 Query", "200 with a query that the server does not know", anyModel, withQuery},
		{"http/concurrent-ids", must, rest("Inference Request JSON Object"), "100 requests at the same time get their own `id` and outputs", anyModel, concurrent(100)},
	}
}

func inferContentType(p *probe) error {
	if _, err := p.baseline(); err != nil {
		return err
	}
	return p.last.isJSON()
}

func withHeader(name, value string) func(*probe) error {
	return func(p *probe) error {
		header := jsonHeader()
		header.Set(name, value)
		_, err := p.inferAt(p.m.path("/infer"), header, encode(p.valid()))
		return err
	}
}

func method(name, endpoint string) func(*probe) error {
	return func(p *probe) error {
		x, err := p.do(name, p.m.path(endpoint), nil, nil)
		return first(err, func() error { return x.clientError() })
	}
}

func headMetadata(p *probe) error {
	x, err := p.do(http.MethodHead, p.m.path(""), nil, nil)
	return first(err, func() error { return x.ok() })
}

func withQuery(p *probe) error {
	_, err := p.inferAt(p.m.path("/infer")+"?x-unknown=1", jsonHeader(), encode(p.valid()))
	return err
}

// concurrent sends n requests with other ids and other inputs at the same time.
func concurrent(n int) func(*probe) error {
	return func(p *probe) error {
		const kinds = 4
		var want [kinds]*answer
		for i := range want {
			a, err := p.infer(request(p.m.example(1, i)))
			if err != nil {
				return err
			}
			want[i] = a
		}
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				alone := &probe{ctx: p.ctx, t: p.t, m: p.m}
				errs[i] = alone.identified("request-"+strconv.Itoa(i), p.m.example(1, i%kinds), want[i%kinds])
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

func (p *probe) identified(id string, inputs []tensor, want *answer) error {
	body := request(inputs)
	body["id"] = id
	a, err := p.infer(body)
	if err != nil {
		return err
	}
	if a.ID == nil || *a.ID != id {
		return fmt.Errorf("id %s for %s", orNil(a.ID), id)
	}
	return differentOutputs(a.outputs, want.outputs, rounding)
}

// rounding is by how much sums may differ that are made in another order.
const rounding = 1e-5
