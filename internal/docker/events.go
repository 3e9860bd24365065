package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// toldActions are those that change what Inspect says. Others, such as exec_start
// (one for every probe and terminal), would only cost an inspection each.
var toldActions = []events.Action{
	events.ActionCreate, events.ActionStart, events.ActionRestart, events.ActionPause, events.ActionUnPause,
	events.ActionDie, events.ActionOOM, events.ActionStop, events.ActionUpdate, events.ActionRename, events.ActionDestroy,
	events.ActionTag, events.ActionUnTag, events.ActionDelete,
}

// Watch follows the engine's events of our containers and image tags.
func (e *Engine) Watch(ctx context.Context, ready func(), event func(engine.Event)) error {
	return e.stream(ctx, openTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
		resp, err := openEvents(ctx, c)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		opened()
		// After the opening, so that no tag is missed in between.
		held, err := e.held(ctx, c)
		if err != nil {
			return err
		}
		ready()
		for decoder := json.NewDecoder(resp.Body); ; {
			var m events.Message
			if err := decoder.Decode(&m); err != nil {
				return err // io.EOF too: the engine never ends this stream in peace
			}
			for _, id := range e.concerned(m, held) {
				event(engine.Event{Kind: eventKinds[m.Type], ID: id, Action: string(m.Action), At: time.Unix(0, m.TimeNano)})
			}
		}
	})
}

var eventKinds = map[events.Type]engine.EventKind{
	events.ContainerEventType: engine.ContainerEvent,
	events.ImageEventType:     engine.ImageEvent,
}

// openEvents makes the request itself. The SDK's Events returns its channels
// also when the request failed, and says so only a moment later: from outside,
// an open stream without events and a failed one look the same.
//
// One stream for containers and images keeps them in order. The engine filters
// labels for both or for none, and our images have only a tag, so whose an event
// is, is decided here.
func openEvents(ctx context.Context, c *client.Client) (*http.Response, error) {
	base, err := baseURL(c)
	if err != nil {
		return nil, err
	}
	filter := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("type", string(events.ImageEventType)))
	for _, action := range toldActions {
		filter.Add("event", string(action))
	}
	asked, err := filters.ToJSON(filter)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events?"+url.Values{"filters": {asked}}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%w: the event stream was answered with %s", engine.ErrUnreachable, resp.Status)
	}
	return resp, nil
}

// concerned are our ids of what m is about; none when it is somebody else's.
// held is which images we hold, by the engine's id, and is kept up to date here:
// the engine tells which tag was set, but of one taken away only the image. So an
// untag is told for every id on that image, and inspection shows which it was.
func (e *Engine) concerned(m events.Message, held map[string][]string) []string {
	if m.Type == events.ContainerEventType {
		if m.Actor.Attributes[labelInstance] != e.opts.Instance {
			return nil
		}
		return []string{m.Actor.Attributes[labelID]}
	}
	if m.Action == events.ActionTag {
		id := e.imageID(m.Actor.Attributes["name"])
		if id == "" {
			return nil
		}
		if !slices.Contains(held[m.Actor.ID], id) {
			held[m.Actor.ID] = append(held[m.Actor.ID], id)
		}
		return []string{id}
	}
	ids := held[m.Actor.ID]
	if m.Action == events.ActionDelete {
		delete(held, m.Actor.ID)
	}
	return ids
}
