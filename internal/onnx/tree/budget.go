package tree

// budget is what the making of a diagram may still take. A diagram makes an
// ensemble fast and nothing else, so one that turns out to be expensive is
// given up, whatever the file.
type budget struct {
	work  int // units of some ten nanoseconds
	bytes int // of all memory asked for, whether it is still in use or not
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
)

func newBudget(f *forest) *budget {
	size := len(f.nodes) + len(f.members) + len(f.votes)
	return &budget{work: min(leastWork+size*workANode, maxWork), bytes: maxMemory}
}

func (b *budget) spend(work int) { b.work -= work }

func (b *budget) take(bytes int) { b.bytes -= bytes }

// giveUp leaves nothing.
func (b *budget) giveUp() { b.work = -1 }

func (b *budget) spent() bool { return b.work < 0 || b.bytes < 0 }
