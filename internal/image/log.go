package image

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/imageline"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// The log of a pull or build is kept in two parts of this size each: how it
// began, and how it ended. What lies between is counted and let go of, so that
// neither the database nor memory grows with what is printed.
const (
	logLines = 5_000
	logBytes = 1 << 20
	// lineBytes is the most of one line that is kept.
	lineBytes = 4 << 10
	// recentLines are told with a failure.
	recentLines = 8
	// logEvery is how long a line waits for others to be written with it, and
	// logBatch how many are written by one statement.
	logEvery = 200 * time.Millisecond
	logBatch = 100
)

// logbook is the log of the pull or build of one image that is under way.
type logbook struct {
	s     *Service
	image string

	mu      sync.Mutex
	partial []byte // of the raw line that is coming in
	over    int    // bytes of it that were let go of
	// next is the number of the next line, and bytes what the lines before it have.
	next, bytes int
	pending     []kept      // numbered and not written yet
	timer       *time.Timer // until they are; nil when none is set
	tail        []kept      // the last lines, from oldest on, once there are too many
	oldest      int
	tailBytes   int
	cut         int // lines that were let go of
	recent      []string
	full        bool
	closed      bool
	writing     sync.Mutex // held by whoever writes lines, in order
}

// kept is a line of a log that is under way. There may be very many, so it is as
// small as can be: the collector lets the heap grow to five times what is held
// here, so that each byte counts five times.
type kept struct {
	number int // its place; 0 for one of the tail, which gets it at the end
	text   string
	at     time.Time
}

// openLog begins the log of an image anew: what an earlier pull or build wrote
// goes. It is closed before the image's state tells of the end.
func (s *Service) openLog(ctx context.Context, id string) (*logbook, error) {
	if _, err := s.Client.ImageLine.Delete().Where(imageline.ImageID(id)).Exec(auth.AsSystem(ctx)); err != nil {
		return nil, fmt.Errorf("begin a log: %w", err)
	}
	b := &logbook{s: s, image: id, next: 1}
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	s.books.open[id] = b
	s.books.begun[id]++
	return b, nil
}

// logLine adds a line to the log that is open for the image; without one it does
// nothing.
func (s *Service) logLine(id, format string, args ...any) {
	s.books.mu.Lock()
	b := s.books.open[id]
	s.books.mu.Unlock()
	if b != nil {
		b.line(format, args...)
	}
}

// books are the logs that are open, and who waits for lines.
type books struct {
	mu    sync.Mutex
	open  map[string]*logbook
	heard map[string]chan struct{} // by image; closed with the next lines
	begun map[string]int           // how often the log of an image was begun in this life
}

// listen gives a channel that is closed when lines of the image were written, and
// how often its log was begun.
func (b *books) listen(id string) (<-chan struct{}, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.heard[id]
	if c == nil {
		c = make(chan struct{})
		b.heard[id] = c
	}
	return c, b.begun[id]
}

func (b *books) tell(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.heard[id]; c != nil {
		close(c)
		delete(b.heard, id)
	}
}

// line adds a line of our own.
func (b *logbook) line(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endRaw()
	for text := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		b.add(text)
	}
}

// Write adds raw output, in pieces of any size. A carriage return begins the line
// anew, as on a terminal.
func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			b.raw(rest)
			break
		}
		b.raw(rest[:i])
		b.endLine()
		rest = rest[i+1:]
	}
	return len(p), nil
}

// raw takes a piece of the line that is coming in. b.mu is held.
func (b *logbook) raw(p []byte) {
	for len(p) > 0 {
		if n := len(b.partial); n > 0 && b.partial[n-1] == '\r' {
			b.partial, b.over = b.partial[:0], 0
		}
		i := bytes.IndexByte(p, '\r')
		piece := p
		if i >= 0 {
			piece = p[:i]
		}
		room := lineBytes - len(b.partial)
		b.over += max(0, len(piece)-room)
		b.partial = append(b.partial, piece[:min(len(piece), max(0, room))]...)
		if i < 0 {
			return
		}
		b.partial = append(b.partial, '\r')
		p = bytes.TrimLeft(p[i:], "\r")
	}
}

func (b *logbook) endLine() {
	text := strings.TrimSuffix(string(b.partial), "\r")
	if b.over > 0 {
		text += fmt.Sprintf(" … [%d more bytes of this line]", b.over)
	}
	b.partial, b.over = b.partial[:0], 0
	b.add(text)
}

// endRaw ends a raw line that came without its end.
func (b *logbook) endRaw() {
	if len(b.partial) > 0 {
		b.endLine()
	}
}

// add takes a whole line. b.mu is held.
func (b *logbook) add(text string) {
	if b.closed {
		return
	}
	l := kept{text: strings.ToValidUTF8(text, "�"), at: b.s.Now().UTC()}
	if len(b.recent) == recentLines {
		copy(b.recent, b.recent[1:])
		b.recent = b.recent[:recentLines-1]
	}
	b.recent = append(b.recent, l.text)
	if b.full {
		b.keep(l)
		return
	}
	b.number(l)
	if b.next > logLines || b.bytes > logBytes {
		b.full = true
		b.number(kept{text: fmt.Sprintf("[This log is long. What comes now is not shown while it comes; its last %d lines follow at the end.]", logLines), at: l.at})
	}
}

// number gives the line its place, and has it written soon.
func (b *logbook) number(l kept) {
	l.number = b.next
	b.pending = append(b.pending, l)
	b.next++
	b.bytes += len(l.text)
	if b.timer == nil {
		b.timer = time.AfterFunc(logEvery, b.flush)
	}
}

// keep takes the line as one of the last.
func (b *logbook) keep(l kept) {
	b.tail = append(b.tail, l)
	b.tailBytes += len(l.text)
	for len(b.tail)-b.oldest > logLines || b.tailBytes > logBytes {
		b.tailBytes -= len(b.tail[b.oldest].text)
		b.tail[b.oldest] = kept{}
		b.oldest++
		b.cut++
	}
	if b.oldest > logLines/4 { // moved within itself, so that nothing is allocated
		b.tail = slices.Delete(b.tail, 0, b.oldest)
		b.oldest = 0
	}
}

// flush writes what waits. Lines that cannot be written are tried again with the
// next ones; those of an image that is gone go with it.
func (b *logbook) flush() {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	lines := b.pending
	b.pending, b.timer = nil, nil
	b.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(auth.AsSystem(context.Background()), 30*time.Second)
	defer cancel()
	err := store.Tx(ctx, b.s.Client, func(tx *ent.Client) error {
		for rest := lines; len(rest) > 0; rest = rest[min(logBatch, len(rest)):] {
			batch := rest[:min(logBatch, len(rest))]
			err := tx.ImageLine.MapCreateBulk(batch, func(c *ent.ImageLineCreate, i int) {
				c.SetImageID(b.image).SetNumber(batch[i].number).SetText(batch[i].text).SetAt(batch[i].at)
			}).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case ent.IsConstraintError(err): // the image went, or its log was begun anew
	case err != nil:
		b.s.Log.WarnContext(ctx, "writing the log of an image did not succeed", "image", b.image, "error", err)
		b.mu.Lock()
		b.pending = append(lines, b.pending...)
		if b.timer == nil && !b.closed {
			b.timer = time.AfterFunc(logEvery, b.flush)
		}
		b.mu.Unlock()
	default:
		b.s.books.tell(b.image)
	}
}

// last are the last few lines, oldest first.
func (b *logbook) last() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endRaw()
	return slices.Clone(b.recent)
}

// close writes all that is left, and says what was cut. Lines that come later
// are let go of.
func (b *logbook) close() {
	b.s.books.mu.Lock()
	if b.s.books.open[b.image] == b {
		delete(b.s.books.open, b.image)
	}
	b.s.books.mu.Unlock()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.endRaw()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	tail := b.tail[b.oldest:]
	if b.cut > 0 {
		b.number(kept{text: fmt.Sprintf("[%d lines were cut here.]", b.cut), at: b.s.Now().UTC()})
	}
	for _, l := range tail {
		b.number(l)
	}
	b.tail = nil
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	b.flush()
}

// maxLogLines is the most that one question gives.
const maxLogLines = 1000

// LogLines are at most first lines of the image's log, behind number after.
func (s *Service) LogLines(ctx context.Context, id string, after, first int) ([]*ent.ImageLine, error) {
	var check fault.Check
	check.That(first >= 0 && first <= maxLogLines, "first", "range", "first takes 0 to %d.", maxLogLines)
	if err := check.Err(); err != nil {
		return nil, err
	}
	if first == 0 {
		return []*ent.ImageLine{}, nil
	}
	return s.Client.ImageLine.Query().
		Where(imageline.ImageID(id), imageline.NumberGT(after)).
		Order(ent.Asc(imageline.FieldNumber)).Limit(first).All(ctx)
}

// WatchLog sends what the log of an image that the viewer sees has behind number
// after, and then each new line, until the pull or build has ended; the channel is
// closed then, and when ctx ends. A log that is begun anew meanwhile is sent from
// its beginning.
func (s *Service) WatchLog(ctx context.Context, id string, after int) (<-chan *ent.ImageLine, error) {
	if _, err := s.Get(ctx, id); err != nil {
		return nil, err
	}
	states := s.Feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Image && c.ID == id })
	changed := make(chan struct{}, 1)
	go func() {
		for {
			if _, err := states.Next(ctx); err != nil {
				return
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	out := make(chan *ent.ImageLine)
	_, log := s.books.listen(id)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			heard, now := s.books.listen(id)
			if now != log { // begun anew
				log, after = now, 0
			}
			row, err := s.Get(ctx, id) // before the lines: what is written before the end is read
			if err != nil {
				return
			}
			lines, err := s.LogLines(ctx, id, after, maxLogLines)
			if err != nil {
				if ctx.Err() == nil {
					s.Log.WarnContext(ctx, "reading the log of an image did not succeed", "image", id, "error", err)
				}
				return
			}
			for _, l := range lines {
				if !send(ctx, out, l) {
					return
				}
				after = l.Number
			}
			if len(lines) > 0 {
				continue
			}
			if !underWay(row.Status) {
				return
			}
			select {
			case <-heard:
			case <-changed:
			case <-ctx.Done():
			}
		}
	}()
	return out, nil
}

// underWay says that a pull or build of an image in that state has not ended.
func underWay(status image.Status) bool {
	return status == image.StatusPending || status == image.StatusPulling || status == image.StatusBuilding
}
