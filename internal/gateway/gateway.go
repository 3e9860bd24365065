// Package gateway is the way into a running container: terminals that outlive
// their connections, and the ports of the programs inside, Jupyter first.
package gateway

import "time"

// Terminal is a terminal that is open in a container, as people are told of it.
type Terminal struct {
	Name, Command            string
	OpenedAt, LastActivityAt time.Time
	// Connections is how many look at it now.
	Connections int
}
