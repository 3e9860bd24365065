package gateway

// Abandon lets go of everything as a server does that is killed: shells go on.
func (t *Terminals) Abandon() {
	t.mu.Lock()
	t.stopped = true
	t.shells = map[shellKey]*shell{}
	t.mu.Unlock()
	t.end()
	t.pumps.Wait()
}
