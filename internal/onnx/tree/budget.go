package tree

// Budget is what the ensembles of one model share: how much has been spent on
// making them fast. The zero value is ready to use, by one goroutine at a time.
type Budget struct{ work, bytes int }

// budget is what the making of a diagram may still take. A diagram makes an
// ensemble fast and nothing else, so one that turns out to be expensive is
// given up, whatever the file.
type budget struct {
	work  int // units of some ten nanoseconds
	bytes int // of all memory asked for, whether it is still in use or not

	gaveUp bool

	shared *Budget
	given  Budget // of shared, at first
}

// Bounds on the work and the memory of making a diagram.
const (
	leastWork  = 1 << 20
	workANode  = 1 << 12 // so that a small file cannot ask for as much as a large one
	maxWork    = 1 << 24
	maxMemory  = 24 << 20
	stepWork   = 8       // of a residual made or passed
	restsAUnit = 16      // hashed
	votesAUnit = 4       // summed
	maxTurns   = 1 << 17 // of one residual along one axis
)

// What one more of each takes, with what it leaves behind when its slice or
// its hash table is doubled.
const (
	slotMemory     = 48
	residualMemory = 2*(12+16) + slotMemory
	stretchMemory  = 2*16 + 2*24 // and its event
	stringMemory   = 2*12 + slotMemory
	countMemory    = 2*(8+4) + slotMemory
	diagramMemory  = 1 << 16 // of the smallest diagram
)

// newBudget returns what f may take of what the ensembles before it have left.
func newBudget(f *forest, shared *Budget) *budget {
	if shared == nil {
		shared = new(Budget)
	}
	size := len(f.nodes) + len(f.members) + len(f.votes)
	b := &budget{work: min(leastWork+size*workANode, maxWork-shared.work), bytes: maxMemory - shared.bytes, shared: shared}
	b.given = Budget{work: b.work, bytes: b.bytes}
	b.take(diagramMemory)
	return b
}

// settle tells the other ensembles of the model what was spent.
func (b *budget) settle() {
	b.shared.work += b.given.work - b.work
	b.shared.bytes += b.given.bytes - b.bytes
}

func (b *budget) spend(work int) { b.work -= work }

func (b *budget) take(bytes int) { b.bytes -= bytes }

// giveUp ends the making of this diagram.
func (b *budget) giveUp() { b.gaveUp = true }

func (b *budget) spent() bool { return b.gaveUp || b.work < 0 || b.bytes < 0 }
