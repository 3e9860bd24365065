// Package gateway is the way into a running container: terminals that outlive
// their connections, and the ports of the programs inside, Jupyter first.
package gateway

import "time"

const (
	// touchEvery is how often activity is told at most.
	touchEvery = time.Second
	// wakeTime is how long a frozen container may take to go on.
	wakeTime = 60 * time.Second
)

// Terminal is a terminal that is open in a container, as people are told of it.
type Terminal struct {
	Name, Command            string
	OpenedAt, LastActivityAt time.Time
	// Connections is how many look at it now.
	Connections int
}
