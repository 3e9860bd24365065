package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// engine speaks to the raw engine over its socket, as any client would.
type engine struct{ http *http.Client }

func newEngine() *engine {
	socket := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if socket == "" {
		socket = "/var/run/docker.sock"
	}
	return &engine{&http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 2 * clients,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// call does one exchange; a status of 400 and above is an error.
func (e *engine) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, err
}

func (e *engine) version(ctx context.Context) (string, error) {
	answer, err := e.call(ctx, http.MethodGet, "/version", nil)
	if err != nil {
		return "", err
	}
	var v struct{ Version string }
	return v.Version, json.Unmarshal(answer, &v)
}

func ofInstance(instance string) string {
	filter, _ := json.Marshal(map[string][]string{"label": {"mlride.instance=" + instance}}) // two strings: cannot fail
	return url.QueryEscape(string(filter))
}

func (e *engine) list(ctx context.Context, instance string) ([]byte, error) {
	return e.call(ctx, http.MethodGet, "/containers/json?all=1&filters="+ofInstance(instance), nil)
}

// likeOne is a body that makes what the product makes: read back from one of
// its containers, so that both sides do the same work.
func (e *engine) likeOne(ctx context.Context, p *product) (map[string]any, error) {
	answer, err := e.list(ctx, p.instance)
	if err != nil {
		return nil, err
	}
	var all []struct{ ID string }
	if err := json.Unmarshal(answer, &all); err != nil || len(all) == 0 {
		return nil, errors.Join(err, errors.New("the engine has none of ours"))
	}
	if answer, err = e.call(ctx, http.MethodGet, "/containers/"+all[0].ID+"/json", nil); err != nil {
		return nil, err
	}
	var one struct {
		Config     map[string]any
		HostConfig map[string]any
	}
	if err := json.Unmarshal(answer, &one); err != nil {
		return nil, err
	}
	// Its labels stay without the id: a raw container is not to be taken for a
	// stray one of the product's and removed.
	one.Config["Labels"] = map[string]string{"mlride-bench": p.instance}
	one.Config["HostConfig"] = one.HostConfig
	return one.Config, nil
}

func (e *engine) cycle(ctx context.Context, name string, spec map[string]any) (time.Duration, error) {
	from := time.Now()
	if _, err := e.call(ctx, http.MethodPost, "/containers/create?name="+name, spec); err != nil {
		return 0, err
	}
	if _, err := e.call(ctx, http.MethodPost, "/containers/"+name+"/start", nil); err != nil {
		return 0, err
	}
	_, err := e.call(ctx, http.MethodDelete, "/containers/"+name+"?force=1&v=1", nil)
	return time.Since(from), err
}

// burst makes many containers in the same moment, and removes them again.
func (e *engine) burst(ctx context.Context, name string, spec map[string]any) (time.Duration, error) {
	from := time.Now()
	err := many(atOnce, atOnce, func(i int) error {
		_, err := e.call(ctx, http.MethodPost, fmt.Sprintf("/containers/create?name=%s-%d", name, i), spec)
		return err
	})
	if err != nil {
		return 0, err
	}
	took := time.Since(from)
	return took, many(atOnce, clients, func(i int) error {
		_, err := e.call(ctx, http.MethodDelete, fmt.Sprintf("/containers/%s-%d?force=1&v=1", name, i), nil)
		return err
	})
}

// clean removes what this run made.
func (e *engine) clean(ctx context.Context, instance string) error {
	var wrong []error
	for _, label := range []string{"mlride.instance=" + instance, "mlride-bench=" + instance} {
		filter, err := json.Marshal(map[string][]string{"label": {label}})
		if err != nil {
			return err
		}
		answer, err := e.call(ctx, http.MethodGet, "/containers/json?all=1&filters="+url.QueryEscape(string(filter)), nil)
		if err != nil {
			return err
		}
		var all []struct{ ID string }
		if err := json.Unmarshal(answer, &all); err != nil {
			return err
		}
		for _, c := range all {
			_, err := e.call(ctx, http.MethodDelete, "/containers/"+c.ID+"?force=1&v=1", nil)
			wrong = append(wrong, err)
		}
	}
	answer, err := e.call(ctx, http.MethodGet, "/networks?filters="+ofInstance(instance), nil)
	if err != nil {
		return err
	}
	var networks []struct{ ID string }
	if err := json.Unmarshal(answer, &networks); err != nil {
		return err
	}
	for _, n := range networks {
		_, err := e.call(ctx, http.MethodDelete, "/networks/"+n.ID, nil)
		wrong = append(wrong, err)
	}
	if answer, err = e.call(ctx, http.MethodGet, "/images/json", nil); err != nil {
		return err
	}
	var images []struct{ RepoTags []string }
	if err := json.Unmarshal(answer, &images); err != nil {
		return err
	}
	for _, image := range images {
		for _, tag := range image.RepoTags {
			if strings.HasPrefix(tag, "mlride-"+instance+"/") {
				_, err := e.call(ctx, http.MethodDelete, "/images/"+tag, nil)
				wrong = append(wrong, err)
			}
		}
	}
	return errors.Join(wrong...)
}
