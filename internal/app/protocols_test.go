package app_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
)

// asked is one request, whatever the protocol.
type asked struct {
	model, token string
	row          [4]float32
}

// outcome is what became of one: a word, and the label that was predicted.
type outcome struct {
	Word  string
	Label int64
}

// words are the decisions by HTTP status and by gRPC code.
var (
	wordOfStatus = map[int]string{200: "served", 400: "content", 422: "content", 401: "unauthenticated", 403: "forbidden", 404: "not found"}
	wordOfCode   = map[codes.Code]string{ //nolint:exhaustive // no other is expected
		codes.OK: "served", codes.InvalidArgument: "content", codes.Unauthenticated: "unauthenticated",
		codes.PermissionDenied: "forbidden", codes.NotFound: "not found",
	}
)

// protocolModels is a folder of models whose contracts differ: the shipped one for
// administrators, one for everybody with an enumeration and a nullable feature, and
// one of another tenant.
func protocolModels(t *testing.T) string {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile("../../models/iris/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	graph, manifest := read("1/model.onnx"), read("model.yaml")
	open := bytes.Replace(manifest, []byte("name: iris"), []byte("name: open"), 1)
	open = bytes.Replace(open, []byte("roles: [admin]"), []byte("roles: [admin, user]"), 1)
	open = bytes.Replace(open, []byte("    example: 0.2\n    exclusive_min: 0\n    max: 30\n"), []byte("    example: 0.2\n    enum: [0.2, 1.5, 2.25]\n"), 1)
	open = bytes.Replace(open, []byte("    example: 1.4\n"), []byte("    example: 1.4\n    nullable: true\n"), 1)
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"iris/1/model.onnx": graph, "iris/model.yaml": manifest, "open/1/model.onnx": graph, "open/model.yaml": open,
		"@acme/own/1/model.onnx": graph,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// requests are drawn anew each time, and the same.
func requests(admin, user string) []asked {
	random := rand.New(rand.NewPCG(7, 8))
	all := make([]asked, 1000)
	for i := range all {
		q := asked{model: "open", token: user}
		for k := range q.row {
			q.row[k] = float32(random.IntN(80)+1) / 8
		}
		q.row[3] = []float32{.2, 1.5, 2.25, 2.25, .3}[random.IntN(5)] // the last is not of the enumeration
		switch random.IntN(12) {
		case 0:
			q.token = admin
		case 1:
			q.model = "iris" // forbidden
		case 2:
			q.model = []string{"own", "none"}[random.IntN(2)]
		case 3:
			q.token = []string{"", "wrong"}[random.IntN(2)]
		case 4:
			q.row[random.IntN(4)] = []float32{-1, 0, 30.5, 1e30}[random.IntN(4)]
		case 5:
			q.row[2] = float32(math.NaN()) // nullable
		case 6:
			q.row[random.IntN(2)] = float32(math.NaN())
		case 7:
			q.model, q.token = "iris", admin
		}
		all[i] = q
	}
	return all
}

// numbers writes a row as JSON.
func (q *asked) numbers() []string {
	text := make([]string, len(q.row))
	for i, v := range q.row {
		if text[i] = strconv.FormatFloat(float64(v), 'g', -1, 32); v != v {
			text[i] = "null"
		}
	}
	return text
}

// protocols are the ways to ask.
func (s *server) protocols(t *testing.T) map[string]func(*asked) outcome {
	t.Helper()
	client := s.dialGRPC(t)
	label := regexp.MustCompile(`(?:"prediction":|"data":\[|"predictions":\[)(\d)`)
	send := func(q *asked, path, body string, header ...string) outcome {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Addr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		if q.token != "" {
			req.Header.Set("Authorization", "Bearer "+q.token)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // nothing was written
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		got := outcome{Word: wordOfStatus[resp.StatusCode]}
		if found := label.FindSubmatch(text); found != nil && got.Word == "served" {
			got.Label, _ = strconv.ParseInt(string(found[1]), 10, 64)
		} else if got.Word == "served" || got.Word == "" {
			t.Fatalf("status %d: %s", resp.StatusCode, text)
		}
		return got
	}
	names := []string{"sepal_length", "sepal_width", "petal_length", "petal_width"}
	return map[string]func(*asked) outcome{
		"predict": func(q *asked) outcome {
			members := make([]string, len(names))
			for i, n := range q.numbers() {
				members[i] = strconv.Quote(names[i]) + ":" + n
			}
			return send(q, "/models/"+q.model+"/predict", "{"+strings.Join(members, ",")+"}")
		},
		"V1": func(q *asked) outcome {
			return send(q, "/v1/models/"+q.model+":predict", `{"instances":[[`+strings.Join(q.numbers(), ",")+`]]}`)
		},
		"V2": func(q *asked) outcome {
			return send(q, "/v2/models/"+q.model+"/infer", `{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[`+strings.Join(q.numbers(), ",")+`]}]}`)
		},
		"V2 binary": func(q *asked) outcome {
			head := `{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}`
			body := []byte(head)
			for _, v := range q.row {
				body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
			}
			return send(q, "/v2/models/"+q.model+"/infer", string(body), "Inference-Header-Content-Length", strconv.Itoa(len(head)), "Content-Type", "application/octet-stream")
		},
		"gRPC":     func(q *asked) outcome { return askGRPC(t, client, q, false) },
		"gRPC raw": func(q *asked) outcome { return askGRPC(t, client, q, true) },
	}
}

func askGRPC(t *testing.T, client pb.GRPCInferenceServiceClient, q *asked, raw bool) outcome {
	t.Helper()
	req := flowers(raw, q.row[:]...)
	req.ModelName = q.model
	ctx := t.Context()
	if q.token != "" {
		ctx = withToken(ctx, q.token)
	}
	answer, err := client.ModelInfer(ctx, req)
	got := outcome{Word: wordOfCode[status.Code(err)]}
	switch {
	case got.Word == "":
		t.Fatal(err)
	case err != nil:
	case raw:
		got.Label = int64(binary.LittleEndian.Uint64(answer.GetRawOutputContents()[0]))
	default:
		got.Label = answer.GetOutputs()[0].GetContents().GetInt64Contents()[0]
	}
	return got
}

// counted returns the numbers of predictions and refusals.
func (s *server) counted(t *testing.T) map[string]float64 {
	t.Helper()
	_, text := s.call(t, http.MethodGet, "https://"+s.AdminAddr()+"/metrics", "", "", "")
	all := map[string]float64{}
	for _, line := range regexp.MustCompile(`(?m)^(onnxgate_(?:predictions|refusals)_total\{.*\}) (\S+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		all[line[1]] = n
	}
	return all
}

func TestAllProtocolsDecidePredictCountAndLimitAlike(t *testing.T) {
	dir := t.TempDir()
	service, done, err := app.OpenAccounts(t.Context(), load(t, dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	actor := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	_, errTenant := service.AddTenant(t.Context(), actor, accounts.NewTenant{Name: "acme"})
	_, admin, errAdmin := service.CreateKey(t.Context(), actor, accounts.NewKey{Name: "admin", Roles: []string{"admin"}})
	_, user, errUser := service.CreateKey(t.Context(), actor, accounts.NewKey{Name: "user", Roles: []string{"user"}})
	if err := errors.Join(errTenant, errAdmin, errUser, done()); err != nil {
		t.Fatal(err)
	}
	const rate = 1_000_000
	s := start(t, dir, map[string]string{"MODELS_DIR": protocolModels(t), "RATE_PREDICT": fmt.Sprint(rate, "/day"), "AUDIT_INPUT_HASH": "on"})
	all := requests(admin, user)
	var want []outcome
	var counts map[string]float64
	ways := s.protocols(t)
	names := []string{"predict", "V1", "V2", "V2 binary", "gRPC", "gRPC raw"}
	for i, name := range names {
		before := s.counted(t)
		got := make([]outcome, len(all))
		for k := range all {
			got[k] = ways[name](&all[k])
		}
		grown := s.counted(t)
		for series := range grown {
			grown[series] -= before[series]
		}
		if i == 0 {
			want, counts = got, grown
			checkVariety(t, want)
			continue
		}
		for k := range all {
			if got[k] != want[k] {
				t.Errorf("%s, request %d (%+v): %+v, and by /predict %+v", name, k, all[k].row, got[k], want[k])
			}
		}
		if diff := cmp.Diff(counts, grown); diff != "" {
			t.Errorf("%s counts otherwise than /predict (-predict +%s):\n%s", name, name, diff)
		}
	}
	var header metadata.MD
	if _, err := s.dialGRPC(t).ModelInfer(t.Context(), flowers(false, 1, 1, 1, 1), grpc.Header(&header)); status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
	if left := strconv.Itoa(rate - len(ways)*len(all) - 1); !strings.Contains(header.Get("ratelimit")[0], "r="+left) {
		t.Errorf("ratelimit %q, want %s left: all share one rate", header.Get("ratelimit"), left)
	}
	checkInputs(t, s, names)
}

// checkInputs proves that the hash of an input is the same by whatever protocol it
// came: on record are the same predictions for each.
func checkInputs(t *testing.T, s *server, names []string) {
	t.Helper()
	var all []string
	next, token := s.again(t)
	next.each(t, token, func(_ string, r *record) {
		if r.Event == "predict" {
			all = append(all, r.Input)
		}
	})
	each := len(all) / len(names)
	if each < 100 || each*len(names) != len(all) || len(all[0]) != 64 || all[0] == all[1] {
		t.Fatalf("%d predictions of %d protocols, the first with the hash %q", len(all), len(names), all[:1])
	}
	for i, name := range names {
		if diff := cmp.Diff(all[:each], all[i*each:(i+1)*each]); diff != "" {
			t.Errorf("%s (-predict +%s):\n%s", name, name, diff)
		}
	}
}

// checkVariety proves that the requests are of every kind.
func checkVariety(t *testing.T, all []outcome) {
	t.Helper()
	var seen []string
	for _, o := range all {
		if !slices.Contains(seen, o.Word) {
			seen = append(seen, o.Word)
		}
	}
	slices.Sort(seen)
	if diff := cmp.Diff([]string{"content", "forbidden", "not found", "served", "unauthenticated"}, seen); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}
