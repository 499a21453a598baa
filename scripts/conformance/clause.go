package main

// The documents that clauses name. The protocol's are those of
// kserve/open-inference-protocol (specification/protocol), the extensions' those
// of triton-inference-server/server (docs/protocol).

func rest(section string) string       { return "inference_rest.md, " + section }
func openAPI(path string) string       { return "open_inference_rest.yaml, " + path }
func grpcDoc(section string) string    { return "inference_grpc.md, " + section }
func message(name string) string       { return "open_inference_grpc.proto, " + name }
func binaryDoc(section string) string  { return "extension_binary_data.md, " + section }
func repository(section string) string { return "extension_model_repository.md, " + section }
func statistics(section string) string { return "extension_statistics.md, " + section }
func rfc9110(section string) string    { return "RFC 9110, " + section }
