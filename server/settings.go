package server

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
	"github.com/distribution/reference"

	"github.com/mlride/mlride/ent/record"
)

// The types of this file are the forms that settings take. Each reads itself
// from text; its error says what it takes and reads on after the setting's
// name: "MLRIDE_LISTEN takes …, not …".

// Address is where to listen: HOST:PORT.
type Address string

// UnmarshalText implements encoding.TextUnmarshaler, as do the methods below.
func (a *Address) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("takes an address such as 127.0.0.1:8080 or :8080, not %q", text)
	}
	*a = Address(text)
	return nil
}

// SiteURL is an origin, https://mlride.example, without a path.
type SiteURL string

// UnmarshalText reads an origin.
func (u *SiteURL) UnmarshalText(text []byte) error {
	origin, ok := parseOrigin(string(text))
	if !ok {
		return fmt.Errorf("takes an address without a path such as https://mlride.example, not %q", text)
	}
	*u = SiteURL(origin)
	return nil
}

// AppsURL is an origin whose host may begin with "*.".
type AppsURL string

// UnmarshalText reads an origin.
func (u *AppsURL) UnmarshalText(text []byte) error {
	origin, ok := parseOrigin(strings.Replace(string(text), "://*.", "://any.", 1))
	if !ok {
		return fmt.Errorf("takes an address without a path such as https://*.apps.example, not %q", text)
	}
	if strings.Contains(string(text), "://*.") {
		origin = strings.Replace(origin, "://any.", "://*.", 1)
	}
	*u = AppsURL(origin)
	return nil
}

// Origins are origins that browsers may call from.
type Origins []string

// UnmarshalText reads origins separated by commas.
func (o *Origins) UnmarshalText(text []byte) error {
	for _, part := range parts(text) {
		origin, ok := parseOrigin(part)
		if !ok {
			return fmt.Errorf("takes origins such as https://tools.example,http://localhost:3000, not %q", part)
		}
		*o = append(*o, origin)
	}
	return nil
}

func parseOrigin(text string) (string, bool) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || strings.Contains(u.Host, "*") {
		return "", false
	}
	if u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", false
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), true
}

func isOrigin(text string) bool {
	_, ok := parseOrigin(text)
	return ok
}

// WebURL is an http or https address, with any path.
type WebURL string

// UnmarshalText reads an address.
func (u *WebURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Hostname() == "" {
		return fmt.Errorf("takes an address such as https://mirror.example/simple, not %q", text)
	}
	*u = WebURL(text)
	return nil
}

// Proxy is a proxy for outgoing requests.
type Proxy string

// UnmarshalText reads an address or HOST:PORT. The value is not repeated in
// the error: it may hold a password.
func (p *Proxy) UnmarshalText(text []byte) error {
	value := string(text)
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return fmt.Errorf("takes a proxy such as http://proxy.example:3128")
	}
	*p = Proxy(text)
	return nil
}

// Mirrors are registry mirrors, with or without http:// or https://.
type Mirrors []string

// UnmarshalText reads mirrors separated by commas.
func (m *Mirrors) UnmarshalText(text []byte) error {
	for _, part := range parts(text) {
		value := part
		if !strings.Contains(value, "://") {
			value = "https://" + value
		}
		// The engine takes a name without a dot or a port for a part of Docker Hub.
		if _, host, ok := strings.Cut(value, "://"); !ok || !isOrigin(value) || !strings.ContainsAny(host, ".:") && host != "localhost" {
			return fmt.Errorf("takes registries such as https://mirror.example,10.0.0.2:5000, not %q", part)
		}
		*m = append(*m, part)
	}
	return nil
}

// Networks are networks in CIDR form.
type Networks []netip.Prefix

// UnmarshalText reads networks or single addresses separated by commas.
func (n *Networks) UnmarshalText(text []byte) error {
	for _, part := range parts(text) {
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(part); err == nil {
				prefix = netip.PrefixFrom(ip, ip.BitLen())
			}
		}
		if err != nil {
			return fmt.Errorf("takes networks such as 10.0.0.0/8,::1, not %q", part)
		}
		*n = append(*n, prefix.Masked())
	}
	return nil
}

// Pool is an IPv4 network that is large enough to cut a /26 from.
type Pool struct{ netip.Prefix }

// UnmarshalText reads a network.
func (p *Pool) UnmarshalText(text []byte) error {
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() > 26 || prefix.Bits() < 8 {
		return fmt.Errorf("takes an IPv4 network from /8 to /26 such as 10.201.0.0/16, not %q", text)
	}
	p.Prefix = prefix.Masked()
	return nil
}

// Database is the path of a SQLite file.
type Database string

// UnmarshalText reads sqlite:PATH.
func (d *Database) UnmarshalText(text []byte) error {
	kind, path, ok := strings.Cut(string(text), ":")
	switch {
	case ok && kind == "sqlite" && path != "":
		*d = Database(path)
		return nil
	case ok && (strings.HasPrefix(kind, "postgres") || kind == "mysql"):
		// the address is not repeated: it may hold a password
		return fmt.Errorf("takes sqlite:PATH; %s is not built yet, because one machine needs no database server", kind)
	default:
		return fmt.Errorf("takes sqlite:PATH such as sqlite:/var/lib/mlride/mlride.db")
	}
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Label is a short name in the engine's words.
type Label string

// UnmarshalText reads a name.
func (l *Label) UnmarshalText(text []byte) error {
	if !label.Match(text) {
		return fmt.Errorf("takes a name of 1 to 32 of a–z, 0–9 and - such as team-1, not %q", text)
	}
	*l = Label(text)
	return nil
}

// Image is a reference to an image.
type Image string

// UnmarshalText reads a reference.
func (i *Image) UnmarshalText(text []byte) error {
	if _, err := reference.ParseNormalizedNamed(string(text)); err != nil {
		return fmt.Errorf("takes an image such as mlride-starter:latest, not %q", text)
	}
	*i = Image(text)
	return nil
}

// Size is an amount of memory or disk, more than nothing.
type Size record.Bytes

// UnmarshalText reads an amount with a unit.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := record.ParseBytes(string(text))
	if err == nil && n == 0 {
		err = fmt.Errorf("takes bytes such as 536870912, 512MiB or 2GiB, not %q", text)
	}
	*s = Size(n)
	return err
}

// Span is a length of time; zero is "off".
type Span struct{ time.Duration }

// UnmarshalText reads "off" or a duration.
func (s *Span) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		s.Duration = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("takes a duration such as 90s, 30m or 168h, or off, not %q", text)
	}
	s.Duration = d
	return nil
}

// Count is a number of at least one.
type Count int

// UnmarshalText reads a whole number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 10_000 {
		return fmt.Errorf("takes a number from 1 to 10000, not %q", text)
	}
	*c = Count(n)
	return nil
}

// Quota is what a new account may use.
type Quota struct {
	Containers int
	CPU        record.Cores
	Memory     record.Bytes
	GPU        int
	Images     int
	Volumes    int
	Disk       record.Bytes
}

// UnmarshalText reads a list such as containers=5,cpu=2.
func (q *Quota) UnmarshalText(text []byte) error {
	*q = Quota{
		Containers: 5, CPU: record.CoresOf(2), Memory: 4 * record.GiB,
		Images: 20, Volumes: 10, Disk: 20 * record.GiB,
	}
	return assignments(text, "containers=5,cpu=2,memory=4GiB,gpu=0,images=20,volumes=10,disk=20GiB", map[string]setter{
		"containers": whole(&q.Containers), "cpu": cores(&q.CPU), "memory": size(&q.Memory), "gpu": whole(&q.GPU),
		"images": whole(&q.Images), "volumes": whole(&q.Volumes), "disk": size(&q.Disk),
	})
}

// Reserve is what containers may not have together.
type Reserve struct {
	CPU    record.Cores
	Memory record.Bytes
	Disk   record.Bytes
}

// UnmarshalText reads a list such as cpu=0.5,memory=1GiB.
func (r *Reserve) UnmarshalText(text []byte) error {
	*r = Reserve{CPU: record.CoresOf(0.5), Memory: record.GiB, Disk: 10 * record.GiB}
	return assignments(text, "cpu=0.5,memory=1GiB,disk=10GiB", map[string]setter{
		"cpu": cores(&r.CPU), "memory": size(&r.Memory), "disk": size(&r.Disk),
	})
}

// Build is what one build may use, and how many are under way at once.
type Build struct {
	CPU      record.Cores
	Memory   record.Bytes
	Pids     int
	Time     time.Duration
	Parallel int
}

// UnmarshalText reads a list such as cpu=2,memory=4GiB.
func (b *Build) UnmarshalText(text []byte) error {
	*b = Build{CPU: record.CoresOf(2), Memory: 4 * record.GiB, Pids: 1024, Time: time.Hour, Parallel: 1}
	const example = "cpu=2,memory=4GiB,pids=1024,time=1h,parallel=1"
	err := assignments(text, example, map[string]setter{
		"cpu": cores(&b.CPU), "memory": size(&b.Memory), "pids": whole(&b.Pids), "time": span(&b.Time), "parallel": whole(&b.Parallel),
	})
	if err == nil && (b.CPU < 100 || b.Memory < 16*record.MiB || b.Pids < 16 || b.Time < time.Second || b.Parallel < 1) {
		err = fmt.Errorf("takes a list such as %s, each with at least cpu=0.1, memory=16MiB, pids=16, time=1s and parallel=1, not %q", example, text)
	}
	return err
}

// Overcommit is how often what is left of the machine may be promised.
type Overcommit struct{ CPU, Memory float64 }

// UnmarshalText reads a list such as cpu=2,memory=1.
func (o *Overcommit) UnmarshalText(text []byte) error {
	*o = Overcommit{CPU: 2, Memory: 1}
	return assignments(text, "cpu=2,memory=1", map[string]setter{
		"cpu": number(&o.CPU, 0.1, 100), "memory": number(&o.Memory, 0.1, 100),
	})
}

// RateLimit is how many requests a second are answered; zero is no limit.
type RateLimit struct{ User, Address float64 }

// UnmarshalText reads "off" or a list such as user=200,address=500.
func (r *RateLimit) UnmarshalText(text []byte) error {
	*r = RateLimit{}
	if string(text) == "off" {
		return nil
	}
	return assignments(text, "user=200,address=500, or off", map[string]setter{
		"user": number(&r.User, 0.01, 1e6), "address": number(&r.Address, 0.01, 1e6),
	})
}

// Logging is what is logged, and how.
type Logging struct {
	Level slog.Level
	// Format is text, json, or empty for what suits the output.
	Format string
}

// UnmarshalText reads LEVEL or LEVEL,FORMAT.
func (l *Logging) UnmarshalText(text []byte) error {
	level, format, given := strings.Cut(string(text), ",")
	known := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	value, ok := known[level]
	if !ok || given && format != "text" && format != "json" {
		return fmt.Errorf("takes debug, info, warn or error, with ,text or ,json behind it if wanted, not %q", text)
	}
	l.Level, l.Format = value, format
	return nil
}

// setter reads one value of a list; false when it is ill-formed.
type setter func(text string) bool

// assignments reads name=value pairs separated by commas.
func assignments(text []byte, example string, names map[string]setter) error {
	for _, part := range parts(text) {
		name, value, ok := strings.Cut(part, "=")
		set := names[strings.TrimSpace(name)]
		if !ok || set == nil || !set(strings.TrimSpace(value)) {
			return fmt.Errorf("takes a list such as %s; %q is not understood", example, part)
		}
	}
	return nil
}

func parts(text []byte) []string {
	var list []string
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func whole(to *int) setter {
	return func(text string) bool {
		n, err := strconv.Atoi(text)
		*to = n
		return err == nil && n >= 0 && n <= 10_000
	}
}

func span(to *time.Duration) setter {
	return func(text string) bool {
		d, err := time.ParseDuration(text)
		*to = d
		return err == nil && d > 0
	}
}

func number(to *float64, least, most float64) setter {
	return func(text string) bool {
		f, err := strconv.ParseFloat(text, 64)
		*to = f
		return err == nil && f >= least && f <= most // false for NaN
	}
}

func cores(to *record.Cores) setter {
	return func(text string) bool {
		var f float64
		ok := number(&f, 0, 10_000)(text)
		*to = record.CoresOf(f)
		return ok
	}
}

func size(to *record.Bytes) setter {
	return func(text string) bool {
		n, err := record.ParseBytes(text)
		*to = n
		return err == nil
	}
}

// nearest is the known variable whose name differs least.
func nearest(name string, known map[string]*kong.Flag) string {
	best, distance := "", 0
	for candidate := range known {
		if !strings.HasPrefix(candidate, "MLRIDE_") {
			continue
		}
		d := levenshtein.ComputeDistance(name, candidate)
		if best == "" || d < distance || d == distance && candidate < best {
			best, distance = candidate, d
		}
	}
	return best
}
