package ops

import (
	"cmp"
	"context"
	"math"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// ngrams is the n-grams of a TfIdfVectorizer: a tree whose edges are words, by
// number, and whose nodes are beginnings of n-grams.
type ngrams struct {
	least, most, skips int
	width              int // of the output

	root  []int32 // by word, the node of the beginning of one word
	ends  []gram  // by node, the n-gram that ends there
	edges []arrow // by node and word
	first []int32 // by node, its first edge; and one entry more

	made map[arrow]int32 // where the edges lead, until they are in order

	once bool // an n-gram counts once however often it is there
}

// gram is where an n-gram counts, and for how much. Its column is noNode where
// none ends.
type gram struct {
	column int32
	weight float32
}

// arrow leads from a node, by a word, to a node.
type arrow struct{ from, word, to int32 }

const noNode = -1

// parseTfIdfVectorizer reads TfIdfVectorizer (ai.onnx 9): how often each n-gram
// of a pool is in the words of [C], or of each row of [N, C]; or its weight.
func parseTfIdfVectorizer(n *Node) Kernel {
	for _, name := range []string{"mode", "min_gram_length", "max_gram_length", "max_skip_count", "ngram_counts", "ngram_indexes"} {
		n.Need(name)
	}
	g := &ngrams{made: map[arrow]int32{}}
	switch mode := n.String("mode", "TF"); mode {
	case "TF", "TFIDF":
	case "IDF":
		g.once = true
	default:
		n.Failf("attribute \"mode\" is %s; it must be TF, IDF or TFIDF", onnx.Quote(mode))
	}
	g.lengths(n)
	ints, words := n.Ints("pool_int64s"), n.Strings("pool_strings")
	if (len(ints) > 0) == (len(words) > 0) {
		n.Failf("it needs one of the attributes \"pool_int64s\" and \"pool_strings\", and not both")
	}
	d := n.Elem(0, tensor.String, tensor.Int32, tensor.Int64)
	if (d == tensor.String) != (len(words) > 0) && n.err == nil {
		n.Failf("input 0 has elements of type %v, which the pool has not", d)
	}
	if n.err != nil {
		return nil
	}
	n.SetOut(0, g.outType(n))
	ids := n.NeedScratch()
	switch d { //nolint:exhaustive // no other type is allowed above
	case tensor.String:
		return vectorize(g, ids, textNumbers(fill(n, g, words)))
	case tensor.Int32:
		pool := fill(n, g, ints)
		return vectorize(g, ids, func(w int32) int32 { return wordNumber(pool, int64(w)) })
	}
	pool := fill(n, g, ints)
	return vectorize(g, ids, func(w int64) int32 { return wordNumber(pool, w) })
}

// lengths reads how long n-grams are.
func (g *ngrams) lengths(n *Node) {
	least, most, skips := n.Int("min_gram_length", 1), n.Int("max_gram_length", 1), n.Int("max_skip_count", 0)
	if least < 1 || most < least || skips < 0 {
		n.Failf("it has n-grams of %d to %d words with up to %d skipped, which is not possible", least, most, skips)
	}
	if most > int64(len(n.Ints("ngram_counts"))) {
		n.Failf("attribute \"ngram_counts\" has %d entries; it needs %d, one for each length", len(n.Ints("ngram_counts")), most)
	}
	// Nothing is longer, or farther away, than a tensor.
	g.least, g.most, g.skips = int(least), int(most), int(min(skips, math.MaxInt32))
	columns := n.Ints("ngram_indexes")
	for _, c := range columns {
		if c < 0 || c >= math.MaxInt32 {
			n.Failf("attribute \"ngram_indexes\" has the entry %d, which is out of range", c)
			return
		}
		g.width = max(g.width, int(c)+1)
	}
	if w := n.Floats("weights"); w != nil && len(w) != len(columns) {
		n.Failf("attribute \"weights\" has %d entries, \"ngram_indexes\" %d; they must agree", len(w), len(columns))
	}
	if len(columns) == 0 {
		n.Failf("attribute \"ngram_indexes\" is empty")
	}
}

func (g *ngrams) outType(n *Node) onnx.Type {
	width := tensor.Dim{Size: g.width}
	in := &n.In[0].Type
	switch {
	case !in.Ranked:
		return onnx.UnrankedTensor(tensor.Float32)
	case len(in.Dims) < 2:
		return onnx.TensorOf(tensor.Float32, width)
	case len(in.Dims) > 2:
		n.Failf("its input has %d axes; it takes [C] or [N, C]", len(in.Dims))
	}
	return onnx.TensorOf(tensor.Float32, in.Dims[0], width)
}

// fill puts the pool's n-grams into g and returns the numbers of its words.
func fill[T comparable](n *Node, g *ngrams, pool []T) map[T]int32 {
	words := map[T]int32{}
	counts, grams := n.Ints("ngram_counts"), n.grams()
	for i, at := range counts {
		length, end := i+1, int64(len(pool))
		if i+1 < len(counts) {
			end = counts[i+1]
		}
		if at < 0 || end < at || end > int64(len(pool)) || (end-at)%int64(length) != 0 {
			n.Failf("attribute \"ngram_counts\" does not part the pool of %d words into whole n-grams", len(pool))
			return words
		}
		part := pool[at:end]
		if len(part)/length > len(grams) {
			n.Failf("the pool has more n-grams than attribute \"ngram_indexes\" has entries")
			return words
		}
		for ; len(part) > 0; part, grams = part[length:], grams[1:] {
			if length >= g.least && length <= g.most {
				insert(n, g, words, part[:length], grams[0])
			}
		}
	}
	g.order()
	return words
}

// grams returns what the pool's n-grams count.
func (n *Node) grams() []gram {
	columns, weights := n.Ints("ngram_indexes"), n.Floats("weights")
	if n.String("mode", "TF") == "TF" {
		weights = nil
	}
	grams := make([]gram, len(columns))
	for i, c := range columns {
		grams[i] = gram{column: int32(c), weight: 1} //nolint:gosec // checked by lengths
		if weights != nil {
			grams[i].weight = weights[i]
		}
	}
	return grams
}

// insert adds one n-gram.
func insert[T comparable](n *Node, g *ngrams, words map[T]int32, pool []T, counts gram) {
	node := int32(noNode)
	for k, w := range pool {
		word, known := words[w]
		if !known {
			word = int32(len(words)) //nolint:gosec // no attribute has as many entries
			words[w] = word
			g.root = append(g.root, noNode)
		}
		if k == 0 {
			if g.root[word] == noNode {
				g.root[word] = g.newNode()
			}
			node = g.root[word]
			continue
		}
		key := arrow{from: node, word: word}
		child, there := g.made[key]
		if !there {
			child = g.newNode()
			g.made[key] = child
		}
		node = child
	}
	if g.ends[node].column != noNode {
		n.Failf("an n-gram is in the pool twice")
	}
	g.ends[node] = counts
}

// order puts the edges in order, when all are there.
func (g *ngrams) order() {
	g.edges = make([]arrow, 0, len(g.made))
	for e, to := range g.made {
		e.to = to
		g.edges = append(g.edges, e)
	}
	g.made = nil
	slices.SortFunc(g.edges, func(a, b arrow) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.word, b.word)) })
	g.first = make([]int32, len(g.ends)+1)
	for _, e := range g.edges {
		g.first[e.from+1]++
	}
	for i := range g.ends {
		g.first[i+1] += g.first[i]
	}
}

// next returns the node of one word more.
func (g *ngrams) next(node, word int32) int32 {
	edges := g.edges[g.first[node]:g.first[node+1]]
	for len(edges) > 8 {
		if half := len(edges) / 2; edges[half].word > word {
			edges = edges[:half]
		} else {
			edges = edges[half:]
		}
	}
	for i := range edges {
		if edges[i].word == word {
			return edges[i].to
		}
	}
	return noNode
}

func (g *ngrams) newNode() int32 {
	g.ends = append(g.ends, gram{column: noNode})
	return int32(len(g.ends) - 1) //nolint:gosec // no attribute has as many entries
}

// wordNumber returns the number of a word, or noNode.
func wordNumber[T comparable](pool map[T]int32, word T) int32 {
	if id, known := pool[word]; known {
		return id
	}
	return noNode
}

// textNumbers is wordNumber for strings, quick for words of one byte, which is
// what text is made of that is taken character by character.
func textNumbers(pool map[string]int32) func(string) int32 {
	var short [256]int32
	for i := range short {
		short[i] = wordNumber(pool, string([]byte{byte(i)}))
	}
	return func(w string) int32 {
		if len(w) == 1 {
			return short[w[0]]
		}
		return wordNumber(pool, w)
	}
}

// vectorize returns the kernel for words of type T, whose numbers in the pool
// numberOf tells.
func vectorize[T tensor.Element](g *ngrams, scratch int, numberOf func(T) int32) Kernel {
	return func(ctx context.Context, f *Frame) error {
		shape := f.In(0).Shape()
		if len(shape) > 2 {
			return shapeFault("TfIdfVectorizer takes [C] or [N, C]", shape)
		}
		f.dims = append(f.dims[:0], g.width)
		rows := 1
		if len(shape) == 2 {
			rows = shape[0]
			f.dims = append(f.dims[:0], rows, g.width)
		}
		dst, err := Output[float32](f, 0, f.dims...)
		if err != nil {
			return err
		}
		x := Input[T](f, 0)
		clear(dst)
		if len(x) == 0 {
			return nil
		}
		length := len(x) / rows
		ids, err := Scratch[int32](f, scratch, length)
		if err != nil {
			return err
		}
		p := poller{}
		for row := range rows {
			if err := lookUp(ctx, &p, ids, x[row*length:(row+1)*length], numberOf); err != nil {
				return err
			}
			if err := g.count(ctx, &p, dst[row*g.width:(row+1)*g.width], ids); err != nil {
				return err
			}
		}
		return nil
	}
}

// lookUp finds the numbers of words in the pool.
func lookUp[T any](ctx context.Context, p *poller, ids []int32, words []T, numberOf func(T) int32) error {
	for k, w := range words {
		if err := p.spend(ctx, 1); err != nil {
			return err
		}
		ids[k] = numberOf(w)
	}
	return nil
}

// count adds the n-grams of a row to dst: those of neighbours, of words with
// one skipped between them, and so on. Single words count once.
func (g *ngrams) count(ctx context.Context, p *poller, dst []float32, ids []int32) error {
	least := g.least
	for distance := 1; distance <= g.skips+1; distance++ {
		if least > 1 && distance > (len(ids)-1)/(least-1) {
			return nil // no n-gram is this wide
		}
		last := len(ids) - distance*(least-1)
		for begin := range last {
			if err := p.spend(ctx, 1); err != nil {
				return err
			}
			if err := g.walk(ctx, p, dst, ids[begin:], distance, least); err != nil {
				return err
			}
		}
		if least == 1 {
			if least = 2; g.most < least {
				return nil
			}
		}
	}
	return nil
}

// walk adds the n-grams that begin with the first of ids.
func (g *ngrams) walk(ctx context.Context, p *poller, dst []float32, ids []int32, distance, least int) error {
	if ids[0] == noNode || g.root[ids[0]] == noNode {
		return nil
	}
	node := g.root[ids[0]]
	for length, at := 1, 0; ; length++ {
		if end := g.ends[node]; end.column != noNode && length >= least {
			if g.once {
				dst[end.column] = 0
			}
			dst[end.column] += end.weight
		}
		if at += distance; length == g.most || at >= len(ids) || ids[at] == noNode {
			return nil
		}
		if node = g.next(node, ids[at]); node == noNode {
			return nil
		}
		if err := p.spend(ctx, 1); err != nil {
			return err
		}
	}
}
