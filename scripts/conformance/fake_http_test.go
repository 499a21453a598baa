package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var fakeInfo = serverInfo{"fake", "1", []string{"binary_tensor_data", "model_repository", "statistics", "model_configuration", "classification"}}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := h(w, r)
			if err == nil {
				return
			}
			code := http.StatusBadRequest
			if errors.Is(err, errNotFound) {
				code = http.StatusNotFound
			}
			_ = writeFake(w, code, object{"error": err.Error()}) // the client sees
		})
	}
	for _, path := range []string{"/v2", "/v2/{$}"} {
		handle("GET "+path, func(w http.ResponseWriter, _ *http.Request) error { return writeFake(w, 200, fakeInfo) })
	}
	handle("GET /v2/health/live", func(w http.ResponseWriter, _ *http.Request) error { return writeFake(w, 200, object{"live": true}) })
	handle("GET /v2/health/ready", func(w http.ResponseWriter, _ *http.Request) error { return writeFake(w, 200, object{"ready": true}) })
	for _, prefix := range []string{"/v2/models/{m}", "/v2/models/{m}/versions/{v}"} {
		handle("GET "+prefix, f.metadata)
		handle("GET "+prefix+"/ready", f.ready)
		handle("GET "+prefix+"/config", f.metadata)
		handle("GET "+prefix+"/stats", f.stats)
		handle("POST "+prefix+"/infer", f.inferHTTP)
	}
	handle("GET /v2/models/stats", f.stats)
	handle("POST /v2/repository/index", f.index)
	handle("POST /v2/repository/models/{m}/{action}", f.change)
	return mux
}

func writeFake(w http.ResponseWriter, code int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, err := w.Write(encode(v))
	return err
}

func (f *fake) metadata(w http.ResponseWriter, r *http.Request) error {
	m, err := f.find(r.PathValue("m"), r.PathValue("v"))
	if err != nil {
		return err
	}
	return writeFake(w, 200, m.model)
}

func (f *fake) ready(w http.ResponseWriter, r *http.Request) error {
	m, err := f.find(r.PathValue("m"), r.PathValue("v"))
	if err != nil {
		return err
	}
	return writeFake(w, 200, object{"name": m.Name, "ready": true})
}

func (f *fake) stats(w http.ResponseWriter, r *http.Request) error {
	names, _ := f.names()
	if name := r.PathValue("m"); name != "" {
		names = []string{name}
	}
	list := []any{}
	for _, name := range names {
		m, err := f.find(name, r.PathValue("v"))
		if err != nil {
			return err
		}
		f.mu.Lock()
		duration := object{"count": m.successes, "ns": m.successes}
		list = append(list, object{
			"name": name, "version": "1", "last_inference": m.last, "inference_count": m.rows, "execution_count": m.successes,
			"inference_stats": object{
				"success": duration, "fail": duration, "queue": duration,
				"compute_input": duration, "compute_infer": duration, "compute_output": duration,
			},
		})
		f.mu.Unlock()
	}
	return writeFake(w, 200, object{"model_stats": list})
}

func (f *fake) index(w http.ResponseWriter, r *http.Request) error {
	body, _ := io.ReadAll(r.Body)
	var q struct {
		Ready bool `json:"ready"`
	}
	if len(body) > 0 && json.Unmarshal(body, &q) != nil {
		return fmt.Errorf("%w: no JSON", errBad)
	}
	names, ready := f.names()
	list := []any{}
	for _, name := range names {
		switch {
		case ready[name]:
			list = append(list, object{"name": name, "version": "1", "state": "READY", "reason": ""})
		case !q.Ready:
			list = append(list, object{"name": name, "state": "UNAVAILABLE", "reason": "unloaded"})
		}
	}
	return writeFake(w, 200, list)
}

func (f *fake) change(w http.ResponseWriter, r *http.Request) error {
	if !f.setUnloaded(r.PathValue("m"), r.PathValue("action") == "unload") {
		return fmt.Errorf("%w: failed to %s", errNotFound, r.PathValue("action"))
	}
	return writeFake(w, 200, object{})
}

// fakeRequest is an inference request as the fake reads it.
type fakeRequest struct {
	ID         *string        `json:"id"`
	Parameters map[string]any `json:"parameters"`
	Inputs     []fakeInput    `json:"inputs"`
	Outputs    []struct {
		Name       string         `json:"name"`
		Parameters map[string]any `json:"parameters"`
	} `json:"outputs"`
}

type fakeInput struct {
	Name       string         `json:"name"`
	Shape      []int64        `json:"shape"`
	Datatype   string         `json:"datatype"`
	Parameters map[string]any `json:"parameters"`
	Data       jsontext.Value `json:"data"`
}

func (f *fake) inferHTTP(w http.ResponseWriter, r *http.Request) error {
	m, err := f.find(r.PathValue("m"), r.PathValue("v"))
	if err != nil {
		return err
	}
	head, tail, raw, err := readFake(r)
	if err != nil {
		return err
	}
	var q fakeRequest
	var inputs []tensor
	if raw {
		q.Parameters = map[string]any{"binary_data_output": true}
		inputs, err = rawFake(m, tail)
	} else {
		inputs, err = q.parse(head, tail)
	}
	if err != nil {
		return err
	}
	var wanted []string
	for _, o := range q.Outputs {
		wanted = append(wanted, o.Name)
	}
	outputs, err := f.infer(m, inputs, wanted)
	if err != nil {
		return err
	}
	return q.write(w, m, outputs)
}

// readFake reads a body and parts its JSON from its bytes.
func readFake(r *http.Request) (head, tail []byte, raw bool, err error) {
	body := io.Reader(r.Body)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "":
	case "gzip":
		body, err = gzip.NewReader(r.Body)
	case "deflate":
		body, err = zlib.NewReader(r.Body)
	default:
		err = fmt.Errorf("%w: coding %s", errBad, coding)
	}
	if err != nil {
		return nil, nil, false, err
	}
	all, err := io.ReadAll(body)
	text := r.Header.Get(headerLength)
	if err != nil || text == "" {
		return all, nil, false, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > len(all) {
		return nil, nil, false, fmt.Errorf("%w: %s", errBad, headerLength)
	}
	return all[:n], all[n:], n == 0, nil
}

func rawFake(m *fakeModel, tail []byte) ([]tensor, error) {
	if len(m.Inputs) != 1 {
		return nil, fmt.Errorf("%w: raw request", errBad)
	}
	t := m.example(1, 0)[0]
	var err error
	t.values, err = parseRaw(t.datatype, t.shape, tail)
	return []tensor{t}, err
}

func (q *fakeRequest) parse(head, tail []byte) ([]tensor, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) {
		return nil, fmt.Errorf("%w: no object", errBad)
	}
	if err := json.Unmarshal(head, q); err != nil {
		return nil, err
	}
	for _, v := range q.Parameters {
		if _, nested := v.(map[string]any); nested {
			return nil, fmt.Errorf("%w: parameters", errBad)
		}
	}
	var inputs []tensor
	for _, in := range q.Inputs {
		t := tensor{name: in.Name, datatype: in.Datatype, shape: in.Shape}
		if _, known := sizes[t.datatype]; !known {
			return nil, fmt.Errorf("%w: datatype", errBad)
		}
		if err := checkedShape(t.shape); err != nil {
			return nil, err
		}
		rest, err := in.read(&t, tail)
		if err != nil {
			return nil, err
		}
		inputs, tail = append(inputs, t), rest
	}
	if len(tail) > 0 {
		return nil, fmt.Errorf("%w: bytes left", errBad)
	}
	return inputs, nil
}

// read reads the elements, and gives what is left of the bytes.
func (in fakeInput) read(t *tensor, tail []byte) ([]byte, error) {
	var err error
	if size, binary := in.Parameters["binary_data_size"]; binary {
		n, ok := size.(float64)
		if !ok || n < 0 || int(n) > len(tail) || in.Data != nil {
			return nil, fmt.Errorf("%w: binary_data_size", errBad)
		}
		t.values, err = parseRaw(t.datatype, t.shape, tail[:int(n)])
		return tail[int(n):], err
	}
	var data any
	if err := json.Unmarshal(in.Data, &data); err != nil {
		return nil, err
	}
	if shape, even := dimensions(data); !even || len(shape) > 1 && fmt.Sprint(shape) != fmt.Sprint(t.shape) {
		return nil, fmt.Errorf("%w: ragged data", errBad)
	}
	t.values, err = parseJSON(t.datatype, in.Data)
	return tail, err
}

func (q *fakeRequest) write(w http.ResponseWriter, m *fakeModel, outputs []tensor) error {
	all, _ := q.Parameters["binary_data_output"].(bool)
	var list []any
	var tail []byte
	binary := false
	for i, t := range outputs {
		asBytes, top := all, false
		if len(q.Outputs) > 0 {
			if own, ok := q.Outputs[i].Parameters["binary_data"].(bool); ok {
				asBytes = own
			}
			_, top = q.Outputs[i].Parameters["classification"]
		}
		if top {
			t = topOne(t)
		}
		o := object{"name": t.name, "datatype": t.datatype, "shape": t.shape}
		if asBytes {
			o["parameters"] = object{"binary_data_size": len(t.raw())}
			tail, binary = append(tail, t.raw()...), true
		} else {
			o["data"] = t.flat()
		}
		list = append(list, o)
	}
	a := object{"model_name": m.Name, "model_version": "1", "outputs": list}
	if q.ID != nil {
		a["id"] = *q.ID
	}
	head := encode(a)
	if !binary {
		return writeFake(w, 200, jsontext.Value(strings.TrimSpace(string(head))))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(headerLength, strconv.Itoa(len(head)))
	_, err := w.Write(append(head, tail...))
	return err
}
