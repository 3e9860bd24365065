package docker

// Remote makes e go about volumes and processes as where the host's files of them are out of reach.
func Remote(e *Engine) { e.remote = true }

// Allocated and OpenUp are for tests of these alone.
var (
	Allocated = allocated
	OpenUp    = openUp
)
