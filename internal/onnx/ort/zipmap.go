//go:build ort && cgo

package ort

import (
	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/onnx"
)

// The fields of onnx.proto that are rewritten.
const (
	modelGraph   = protowire.Number(7)
	graphNode    = protowire.Number(1)
	graphOutput  = protowire.Number(12)
	nodeOutput   = protowire.Number(2)
	nodeOperator = protowire.Number(4)
	nameField    = protowire.Number(1) // of a value
	typeField    = protowire.Number(2) // of a value
	tensorField  = protowire.Number(1) // of a type
	elemField    = protowire.Number(1) // of a tensor type
	floatElem    = 1
)

// zipped returns, for each output of the graph that ZipMap makes, the tensor
// that it makes it of.
func zipped(g *onnx.Graph) map[string]string {
	made := map[string]string{}
	for _, n := range g.Nodes {
		if n.Op == "ZipMap" && len(n.Inputs) == 1 && len(n.Outputs) == 1 {
			made[n.Outputs[0]] = n.Inputs[0]
		}
	}
	sources := map[string]string{}
	for _, o := range g.Outputs {
		if source, ok := made[o.Name]; ok {
			sources[o.Name] = source
		}
	}
	return sources
}

// unzip takes out of an encoded model the ZipMaps whose results leave the graph
// and lets their tensors leave instead: one map a row is many times the work of
// the model itself. Everything else keeps its bytes.
func unzip(model []byte, sources map[string]string, outputs map[string]bool) []byte {
	return rewrite(model, func(field protowire.Number, content []byte) ([]byte, bool) {
		if field != modelGraph {
			return content, true
		}
		return rewrite(content, func(field protowire.Number, content []byte) ([]byte, bool) {
			switch field { //nolint:exhaustive // field numbers of one message
			case graphNode:
				_, gone := sources[text(content, nodeOutput)]
				return content, !gone || text(content, nodeOperator) != "ZipMap"
			case graphOutput:
				source, zipped := sources[text(content, nameField)]
				if !zipped {
					return content, true
				}
				first := !outputs[source] // it may leave the graph already
				outputs[source] = true
				return floatTensor(source), first
			}
			return content, true
		}), true
	})
}

// rewrite copies a message, with each embedded message or text as each returns
// it, or without it. The message has been decoded before: it is well formed.
func rewrite(message []byte, each func(protowire.Number, []byte) (content []byte, keep bool)) []byte {
	out := make([]byte, 0, len(message))
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return out
		}
		size := protowire.ConsumeFieldValue(field, kind, message[n:])
		if size < 0 {
			return out
		}
		if kind != protowire.BytesType {
			out = append(out, message[:n+size]...)
		} else if content, _ := protowire.ConsumeBytes(message[n:]); content != nil {
			if content, keep := each(field, content); keep {
				out = protowire.AppendBytes(protowire.AppendTag(out, field, kind), content)
			}
		}
		message = message[n+size:]
	}
	return out
}

// text returns the first text in a field of a message.
func text(message []byte, wanted protowire.Number) string {
	found := ""
	rewrite(message, func(field protowire.Number, content []byte) ([]byte, bool) {
		if field == wanted && found == "" {
			found = string(content)
		}
		return nil, false
	})
	return found
}

// floatTensor is a ValueInfoProto of a float tensor of any shape.
func floatTensor(name string) []byte {
	tensorType := protowire.AppendVarint(protowire.AppendTag(nil, elemField, protowire.VarintType), floatElem)
	valueType := protowire.AppendBytes(protowire.AppendTag(nil, tensorField, protowire.BytesType), tensorType)
	info := protowire.AppendBytes(protowire.AppendTag(nil, nameField, protowire.BytesType), []byte(name))
	return protowire.AppendBytes(protowire.AppendTag(info, typeField, protowire.BytesType), valueType)
}
