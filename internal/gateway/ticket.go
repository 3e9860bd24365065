package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// How a browser is let in on the second origin, where the site's sign-in is not
// known:
//
//  1. It comes without a pass. It gets a random cookie, the door, and is sent to
//     the site with the door's hash.
//  2. The site knows who it is, looks whether they may, and sends it back with a
//     ticket that holds for that door, container, port and sign-in.
//  3. The second origin takes the ticket, once, and gives a pass: a cookie of that
//     container and port that holds for as long as the sign-in does.
//
// A ticket that somebody else gets hold of, or makes somebody follow, opens
// nothing: their browser has another door.

const (
	doorCookie, passCookie = "mlride_door", "mlride_pass"
	doorTime               = 10 * time.Minute
	ticketTime             = 30 * time.Second
	// passTime bounds a pass; a browser whose pass is over fetches another unasked.
	passTime   = 7 * 24 * time.Hour
	maxTickets = 10_000
	// maxTo is the longest address that is come back to, in bytes; a longer one
	// begins at the program's first page.
	maxTo = 4096

	// ourPath is below each program's prefix, and never a program's.
	ourPath   = "-mlride/"
	enterPath = ourPath + "enter"
	startPath = ourPath + "start"
	// OpenPath is where the site is come to from the second origin.
	OpenPath = "/open"
)

var (
	errEnded    = errors.New("the sign-in has ended")
	errStopping = errors.New("the server stops")
)

type ticket struct {
	door     string // its hash
	place    place
	to       string // the address to go to, below the prefix
	session  string
	deadline time.Time
}

// tickets are those that were not taken yet. They are in memory alone: one that a
// restart loses is asked for again by the browser itself.
type tickets struct {
	mu   sync.Mutex
	open map[string]ticket
}

func (t *tickets) issue(k ticket, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, other := range t.open {
		if now.After(other.deadline) {
			delete(t.open, id)
		}
	}
	if len(t.open) >= maxTickets {
		clear(t.open) // half a minute's worth of a flood: who meant it comes again
	}
	id := rand.Text()
	t.open[id] = k
	return id
}

// take gives a ticket once, whether it then proves good or not.
func (t *tickets) take(id string, now time.Time) (ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.open[id]
	delete(t.open, id)
	return k, ok && !now.After(k.deadline)
}

// knock sends a browser without a pass to the site.
func (p *Ports) knock(w http.ResponseWriter, r *http.Request, at place) {
	door := ""
	if c, err := r.Cookie(doorCookie); err == nil && doorForm.MatchString(c.Value) {
		door = c.Value // another tab waits for the same
	} else {
		door = rand.Text() + rand.Text()
	}
	_, secure := p.Reached(r)
	http.SetCookie(w, &http.Cookie{
		Name: doorCookie, Value: door, Path: "/", MaxAge: int(doorTime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	})
	to := fmt.Sprintf("%s/%d/%s", at.id, at.port, at.rest)
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	if len(to) > maxTo {
		to = fmt.Sprintf("%s/%d/", at.id, at.port)
	}
	query := url.Values{"to": {to}, "door": {hashOf(door)}}
	unkept(w.Header())
	http.Redirect(w, r, p.site(r)+OpenPath+"?"+query.Encode(), http.StatusSeeOther)
}

var (
	doorForm = regexp.MustCompile(`^[A-Z2-7]{40,64}$`)
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// unkept answers are kept by nobody and named to nobody.
func unkept(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

// Open is the site's part: a handler behind the one that finds the viewer of the
// site's own sign-in.
func (p *Ports) Open(w http.ResponseWriter, r *http.Request) {
	unkept(w.Header())
	at, to, door, ok := parseOpen(r)
	if !ok {
		p.say(w, r, http.StatusBadRequest, page{kind: pageBadLink})
		return
	}
	if !navigates(r) {
		// A ticket is for the person at the browser: no script, frame or picture gets one.
		p.say(w, r, http.StatusForbidden, page{kind: pageForbidden})
		return
	}
	v := auth.Of(r.Context())
	switch {
	case v.SessionID == "":
		http.Redirect(w, r, "/?then="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	case v.MustChange:
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	row, err := p.Lifecycle.Get(r.Context(), at.id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	origin := p.origin(p.self(r), at.id, at.port)
	if row.OwnerID != v.UserID && p.Share() && r.Method != http.MethodPost {
		w.Header().Set("Content-Security-Policy", pagePolicy+"; form-action 'self' "+origin)
		p.say(w, r, http.StatusOK, page{kind: pageForeign, name: row.Name, action: r.URL.RequestURI()})
		return
	}
	if err := p.note(r.Context(), row, at.port); err != nil {
		p.fail(w, r, err)
		return
	}
	at.prefix = p.Prefix(at.id, at.port)
	id := p.tickets.issue(ticket{door: door, place: at, to: to, session: v.SessionID, deadline: p.Now().Add(ticketTime)}, p.Now())
	http.Redirect(w, r, origin+at.prefix+enterPath+"?ticket="+id, http.StatusSeeOther)
}

func parseOpen(r *http.Request) (at place, to, door string, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return at, "", "", false
	}
	query := r.URL.Query()
	door = query.Get("door")
	id, after, _ := strings.Cut(query.Get("to"), "/")
	port, to, ended := strings.Cut(after, "/")
	at, ok = placeOf(id, port)
	path, _, _ := strings.Cut(to, "?")
	return at, to, door, ok && ended && hashForm.MatchString(door) && len(to) <= maxTo && !hasDots(path) &&
		!strings.HasPrefix(to, ourPath) && !strings.ContainsFunc(to, isControl)
}

// navigates says whether a browser goes there with its whole window. Old browsers
// do not say.
func navigates(r *http.Request) bool {
	mode, to := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	return (mode == "" || mode == "navigate") && (to == "" || to == "document")
}

// note writes down who opened a port.
func (p *Ports) note(ctx context.Context, row *ent.Container, port int) error {
	return audit.Record(ctx, p.Client, audit.Entry{
		Action: "port.open", Target: row.ID, TargetName: row.Name, Detail: "port " + strconv.Itoa(port),
	})
}

// noted remembers whose visits with an access token were written down: one line
// an hour for each, and not one for each request.
type noted struct {
	mu sync.Mutex
	at map[string]time.Time
}

const notedTime = time.Hour

func (n *noted) first(key string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.at[key]; ok && now.Sub(at) < notedTime {
		return false
	}
	if len(n.at) >= maxTickets {
		clear(n.at)
	}
	n.at[key] = now
	return true
}

// enter takes a ticket and gives a pass.
func (p *Ports) enter(w http.ResponseWriter, r *http.Request, at place) {
	unkept(w.Header())
	k, ok := p.tickets.take(r.URL.Query().Get("ticket"), p.Now())
	door, err := r.Cookie(doorCookie)
	if !ok || err != nil || !same(hashOf(door.Value), k.door) || k.place.id != at.id || k.place.port != at.port {
		p.say(w, r, http.StatusForbidden, page{kind: pageTicketOver, action: at.prefix})
		return
	}
	_, secure := p.Reached(r)
	http.SetCookie(w, &http.Cookie{
		Name: passCookie, Value: p.pass(k.session, at, p.Now().Add(passTime)), Path: at.prefix,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	})
	// Not http.Redirect, which cleans paths; and with the origin, since what begins
	// with two slashes would be another host.
	w.Header().Set("Location", p.self(r)+at.prefix+k.to)
	w.WriteHeader(http.StatusSeeOther)
}

// pass is what lets a session into a port until then.
func (p *Ports) pass(session string, at place, until time.Time) string {
	end := strconv.FormatInt(until.Unix(), 10)
	return session + "." + end + "." + p.sign("pass", session, at.id, strconv.Itoa(at.port), end)
}

// passed are the sessions whose passes a request brings; several cookies may have
// the name, since a program's page can set some on its own.
func (p *Ports) passed(r *http.Request, at place) (session string, ok bool) {
	for _, c := range r.CookiesNamed(passCookie) {
		session, after, _ := strings.Cut(c.Value, ".")
		end, _, _ := strings.Cut(after, ".")
		until, err := strconv.ParseInt(end, 10, 64)
		if err == nil && p.Now().Unix() < until && same(c.Value, p.pass(session, at, time.Unix(until, 0))) {
			return session, true
		}
	}
	return "", false
}

// fail tells of what a verb refused.
func (p *Ports) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.Of(err)
	switch f.Code { //nolint:exhaustive // the others are refusals that say enough themselves
	case fault.NotFound:
		p.say(w, r, http.StatusNotFound, page{kind: pageNoSuch})
	case fault.Internal:
		p.Log.ErrorContext(r.Context(), "a port could not be opened", "error", err)
		p.say(w, r, http.StatusInternalServerError, page{kind: pageInternal})
	default:
		p.say(w, r, http.StatusConflict, page{kind: pageRefused, detail: f.Message})
	}
}

// startable are the states from which a container is started by whoever comes.
func startable(row *ent.Container) bool {
	switch row.Status {
	case container.StatusCreated, container.StatusExited, container.StatusFailed, container.StatusLost, container.StatusPaused:
		return row.Desired != container.DesiredRemoved
	case container.StatusPending, container.StatusQueued, container.StatusStarting, container.StatusRunning,
		container.StatusStopping, container.StatusRemoving:
	}
	return false
}
