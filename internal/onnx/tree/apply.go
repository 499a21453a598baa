package tree

// Apply transforms the scores of one row in place. The linear models of
// ai.onnx.ml have the same transforms as the tree ensembles.
func (t Transform) Apply(scores []float32) { transform(t, scores) }
