package argon

// Running returns the id of the process, 0 when there is none.
func (w *Worker) Running() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child == nil {
		return 0
	}
	return w.child.cmd.Process.Pid
}
