// Package record holds the values that are stored whole in one column: exact
// amounts, which keep their unit in their type, and small structures kept as
// JSON. The schema, the features and the API share them; nothing of ours is
// imported here, so that the schema can always be generated from a clean tree.
package record

import "time"

// Exit says how a run ended.
type Exit struct {
	// Code is the exit status, nil where the engine no longer knows it.
	Code    *int       `json:"code,omitempty"`
	Reason  ExitReason `json:"reason"`
	Message string     `json:"message"`
	At      time.Time  `json:"at"`
	// MemoryPeak is the most memory that the run was seen to use; nil where nobody
	// looked.
	MemoryPeak *Bytes `json:"memoryPeak,omitempty"`
	// LastLines are the last lines of its output, oldest first.
	LastLines []string `json:"lastLines,omitempty"`
}

// ExitReason is why a run ended, in the API's words.
type ExitReason string

// The reasons that can be told apart.
const (
	ExitCompleted       ExitReason = "COMPLETED"
	ExitError           ExitReason = "ERROR"
	ExitOutOfMemory     ExitReason = "OUT_OF_MEMORY"
	ExitStoppedByOwner  ExitReason = "STOPPED_BY_OWNER"
	ExitStoppedByAdmin  ExitReason = "STOPPED_BY_ADMIN"
	ExitIdle            ExitReason = "IDLE"
	ExitEngineRestarted ExitReason = "ENGINE_RESTARTED"
	ExitKilled          ExitReason = "KILLED"
	ExitUnknown         ExitReason = "UNKNOWN"
)

// EnvVar is one variable of a container's environment.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
