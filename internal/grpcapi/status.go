package grpcapi

import (
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"onnxgate/internal/fault"
)

// outcome is how one kind of fault looks from outside.
type outcome struct {
	code codes.Code
	// text is shown when the fault has no message.
	text string
}

// outcomes holds one entry for each fault.Kind.
var outcomes = map[fault.Kind]outcome{
	fault.Internal:         {codes.Internal, "The server failed. The request id finds the reason in its log"},
	fault.Misdirected:      {codes.InvalidArgument, "This server answers only on its own machine; call it as localhost or 127.0.0.1"},
	fault.BadRequest:       {codes.InvalidArgument, "The request is malformed"},
	fault.NotFound:         {codes.NotFound, "There is no such thing"},
	fault.MethodNotAllowed: {codes.Unimplemented, "There is no such method"},
	fault.RateLimited:      {codes.ResourceExhausted, "Wait as long as retry-after says"},
	fault.QuotaExceeded:    {codes.ResourceExhausted, "A quota is used up until its period ends, as retry-after says"},
	fault.Unauthenticated:  {codes.Unauthenticated, "Send a valid access token: authorization: Bearer TOKEN"},
	fault.Forbidden:        {codes.PermissionDenied, "Operation not permitted"},
	fault.UnsupportedMedia: {codes.InvalidArgument, "The message has a type that is not read here"},
	fault.TooLarge:         {codes.ResourceExhausted, "The message is too large"},
	fault.Syntax:           {codes.InvalidArgument, "The message cannot be parsed"},
	fault.Content:          {codes.InvalidArgument, "The message does not fit"},
	fault.Undecryptable:    {codes.InvalidArgument, "Decryption failed"},
	fault.Conflict:         {codes.FailedPrecondition, "The request contradicts the present state"},
	fault.Unsupported:      {codes.Unimplemented, "This server has no such extension"},
	fault.Unavailable:      {codes.Unavailable, "The server cannot do this for now; try again"},
	fault.Overloaded:       {codes.Unavailable, "More is asked for than this server can do; wait as long as retry-after says"},
	fault.Timeout:          {codes.DeadlineExceeded, "The work was not done in time; try again"},
	fault.ClientDeadline:   {codes.DeadlineExceeded, "The deadline of the call has passed"},
	fault.Canceled:         {codes.Canceled, "The client went away"},
}

// outcomeOf returns how a kind looks; an unknown one is internal.
func outcomeOf(kind fault.Kind) outcome {
	if o, ok := outcomes[kind]; ok {
		return o
	}
	return outcomes[fault.Internal]
}

// codeNames are the words for the codes of gRPC, by number, in metrics.
var codeNames = func() []string {
	names := make([]string, codes.Unauthenticated+1)
	for i := range names {
		names[i] = codes.Code(i).String()
	}
	return names
}()

// A status travels in headers, the details as base64 with the text once more. gRPC's
// C library, which Python's clients use, ends a call with more than 8 KiB of them as
// a broken stream.
const (
	maxText    = 1 << 10
	maxDetails = 2 << 10
)

// statusOf renders a fault. No cause, path or type name of ours reaches it: only
// the fault's message and fields.
func statusOf(f *fault.Error) *status.Status {
	o := outcomeOf(f.Kind)
	text := f.Text(o.text)
	if f.Kind == fault.Content {
		text += f.Worded(maxText - len(text))
	}
	s := status.New(o.code, cut(text, maxText))
	var details []protoadapt.MessageV1
	if f.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	if len(f.Fields) > 0 && o.code == codes.InvalidArgument {
		details = append(details, violations(f.Fields))
	}
	if with, err := s.WithDetails(details...); err == nil {
		return with
	}
	return s
}

// violations names the faults inside a message, by JSON pointers as the other
// protocols do: as many as there is room for.
func violations(fields []fault.Field) *errdetails.BadRequest {
	const framing = 8 // bytes around the two texts of one
	all := &errdetails.BadRequest{}
	room := maxDetails
	for _, f := range fields[:min(len(fields), fault.MaxFields)] {
		detail := f.Detail
		if len(all.FieldViolations) == 0 {
			detail = cut(detail, maxDetails/2)
		}
		if room -= len(f.Pointer) + len(detail) + framing; room < 0 {
			break
		}
		all.FieldViolations = append(all.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: f.Pointer, Description: detail})
	}
	return all
}

// cut returns the beginning of a text, whole characters of at most n bytes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// received returns why a message did not arrive, as a fault for the log. The client
// has its status already: ours where we ended the call, and otherwise grpc-go's.
func (c *call) received(err error) error {
	if f := c.arrival.ended.Load(); f != nil {
		return f
	}
	s, _ := status.FromError(err)
	switch s.Code() { //nolint:exhaustive // those that say more than the default
	case codes.ResourceExhausted:
		return fault.Wrap(fault.TooLarge, "", err)
	case codes.Canceled:
		return fault.Wrap(fault.Canceled, "", err)
	case codes.DeadlineExceeded:
		return fault.Wrap(fault.Timeout, "", err)
	case codes.Unimplemented:
		return fault.Wrap(fault.Unsupported, "", err)
	default:
		return fault.Wrap(fault.BadRequest, "The message did not arrive whole", err)
	}
}

// sent returns why an answer was not taken: a client that goes away, or does not
// read, is no failure of ours.
func sent(err error) error {
	switch status.Code(err) { //nolint:exhaustive // the others are defects
	case codes.Canceled, codes.Unavailable:
		return fault.Wrap(fault.Canceled, "", err)
	case codes.DeadlineExceeded:
		return fault.Wrap(fault.Timeout, "", err)
	}
	return err
}
