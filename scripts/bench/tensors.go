package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
)

// manyRows is how many rows one large request has.
const manyRows = 100_000

// row returns the numbers of a flower.
func row(random *rand.Rand) [4]float64 {
	return [4]float64{4.3 + 3.6*random.Float64(), 2 + 2.4*random.Float64(), 1 + 5.9*random.Float64(), 0.1 + 2.4*random.Float64()}
}

// post is a request as it goes over the wire.
func post(addr, token, path, header, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		path, addr, token, header, len(body), body)
}

const inferPath = "/v2/models/iris/infer"

// tensors returns ready-made requests of one row each over the Open Inference
// Protocol.
func tensors(addr, token string) [][]byte {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // test data that repeats
	requests := make([][]byte, 1024)
	for i := range requests {
		x := row(random)
		body := fmt.Sprintf(`{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[%.1f,%.1f,%.1f,%.1f]}]}`, x[0], x[1], x[2], x[3])
		requests[i] = post(addr, token, inferPath, "", body)
	}
	return requests
}

// manyTensors returns one request of many rows as JSON, and the same as bytes.
func manyTensors(addr, token string) (asJSON, asBytes []byte, err error) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // test data that repeats
	var numbers []float32
	var raw []byte
	for range manyRows {
		for _, x := range row(random) {
			x := float32(math.Round(10*x) / 10)
			numbers = append(numbers, x)
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
	}
	data, err := json.Marshal(numbers)
	if err != nil {
		return nil, nil, err
	}
	const head = `{"inputs":[{"name":"X","shape":[%d,4],"datatype":"FP32",%s}]%s}`
	text := fmt.Sprintf(head, manyRows, `"data":`+string(data), "")
	before := fmt.Sprintf(head, manyRows, `"parameters":{"binary_data_size":`+strconv.Itoa(len(raw))+`}`, `,"parameters":{"binary_data_output":true}`)
	length := "Inference-Header-Content-Length: " + strconv.Itoa(len(before)) + "\r\n"
	return post(addr, token, inferPath, "", text), post(addr, token, inferPath, length, before+string(raw)), nil
}

// protocols prints, of a server that takes large requests, what the Open Inference Protocol costs beside /predict, and
// tensors of many rows as bytes beside JSON and beside the engine alone.
func protocols(ctx context.Context, opt options, dir string) error {
	gate, err := startGate(ctx, opt.binary, filepath.Join(dir, "large"), filepath.Join(dir, "large.log"),
		"ONNXGATE_MAX_ROWS="+strconv.Itoa(manyRows), "ONNXGATE_MAX_BODY=16MiB")
	if err != nil {
		return err
	}
	defer gate.stop()
	if _, err := gate.login(ctx); err != nil {
		return err
	}
	gate.requests = predictions(gate.addr, gate.token)
	overV2 := *gate
	overV2.requests = tensors(gate.addr, gate.token)
	if err := compare(ctx, opt, pair{"server CPU per HTTPS request of one row", "V2 JSON", "/predict", &overV2, gate}); err != nil {
		return err
	}
	text, raw, err := manyTensors(gate.addr, gate.token)
	if err != nil {
		return err
	}
	few := opt
	few.requests, few.connections, few.rounds = 8, 1, min(opt.rounds, 5)
	asJSON, asBytes := *gate, *gate
	asJSON.requests, asBytes.requests = [][]byte{text}, [][]byte{raw}
	if err := compare(ctx, few, pair{fmt.Sprintf("server CPU per HTTPS request of %d rows", manyRows), "JSON", "bytes", &asJSON, &asBytes}); err != nil {
		return err
	}
	engine, err := engineTime(ctx, opt.binary)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		by   *server
	}{{"JSON", &asJSON}, {"bytes", &asBytes}} {
		took, err := cost(ctx, few, c.by)
		if err != nil {
			return err
		}
		fmt.Printf("%-50s %.0f rows/s of CPU   %.2f × the engine's own time\n", fmt.Sprintf("%d rows over V2 as %s", manyRows, c.name), manyRows/took*1e6, took/engine)
	}
	return nil
}

// engineTime returns how long the engine alone takes for many rows, in µs.
func engineTime(ctx context.Context, binary string) (float64, error) {
	out, err := exec.CommandContext(ctx, binary, "model", "bench", "models/iris/1/model.onnx", "--rows", strconv.Itoa(manyRows), "--json").Output() //nolint:gosec // the server's own binary
	if err != nil {
		return 0, err
	}
	var report struct {
		Results []struct {
			NSPerCall float64 `json:"ns_per_call"`
		} `json:"results"`
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Results) == 0 {
		return 0, fmt.Errorf("model bench said %q, %w", out, err)
	}
	return report.Results[0].NSPerCall / 1e3, nil
}
