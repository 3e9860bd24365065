package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	carried = 1 << 30 // bytes each way
	port    = 8000
	// onTheWay has the container take and give as much as it is asked for.
	onTheWay = `mkdir -p /tmp/w/cgi-bin && cd /tmp/w/cgi-bin &&
printf '#!/bin/sh\necho Content-Type: a/b\necho\nexec head -c %d /dev/zero\n' > down &&
printf '#!/bin/sh\ncat > /dev/null\necho Content-Type: text/plain\necho\necho done\n' > up &&
chmod 755 up down && exec httpd -f -p %d -h /tmp/w`
)

// proxy carries a gigabyte each way through the second origin, and to the same
// program directly.
func proxy(ctx context.Context, p *product, raw *engine) ([]row, error) {
	id, err := p.serves(ctx)
	if err != nil {
		return nil, err
	}
	through, direct, err := p.ways(ctx, raw, id)
	if err != nil {
		return nil, err
	}
	if err := p.warm(ctx, through); err != nil {
		return nil, err
	}
	before, err := p.memory()
	if err != nil {
		return nil, err
	}
	var rows []row
	most := before
	for _, way := range []struct {
		what string
		do   func(ctx context.Context, client *http.Client, at string) (time.Duration, error)
	}{{"1 GB from a container's port", download}, {"1 GB to a container's port", upload}} {
		theirs, err := way.do(ctx, &http.Client{}, direct)
		if err != nil {
			return nil, err
		}
		ours, err := way.do(ctx, p.http, through)
		if err != nil {
			return nil, err
		}
		now, err := p.memory()
		if err != nil {
			return nil, err
		}
		most = max(most, now)
		speed := func(d time.Duration) float64 { return carried / d.Seconds() / (1 << 20) }
		rows = append(rows, row{
			way.what, fmt.Sprintf("%.0f MiB/s", speed(ours)), fmt.Sprintf("%.0f MiB/s", speed(theirs)),
			fmt.Sprintf("%.2f", theirs.Seconds()/ours.Seconds()), "≥ 0.7",
		})
	}
	return append(rows, row{"memory grown by that", fmt.Sprintf("%.1f MiB", most-before), "", "", "< 10 MiB"}), nil
}

// serves makes the container and waits until it runs.
func (p *product) serves(ctx context.Context) (string, error) {
	var made struct {
		CreateContainer struct{ Container struct{ ID string } }
	}
	err := p.ask(ctx, `mutation($input: CreateContainerInput!) { createContainer(input: $input) { container { id } } }`, map[string]any{
		"name": "carried", "imageId": p.image, "cpuLimit": 2, "memoryLimit": "64MiB",
		"command": []string{"sh", "-c", fmt.Sprintf(onTheWay, carried, port)},
		"ports":   []map[string]any{{"name": "web", "port": port}},
	}, &made)
	return made.CreateContainer.Container.ID, err
}

// ways are the two addresses of the program, once it runs.
func (p *product) ways(ctx context.Context, raw *engine, id string) (through, direct string, err error) {
	for {
		var told struct {
			Containers struct {
				Edges []struct {
					Node struct {
						ID, Status string
						Ports      []struct{ URL string }
					}
				}
			}
		}
		if err := p.ask(ctx, `{ containers(where: {nameContains: "carried"}) { edges { node { id status ports { url } } } } }`, nil, &told); err != nil {
			return "", "", err
		}
		if e := told.Containers.Edges; len(e) == 1 && e[0].Node.Status == "RUNNING" {
			through = e[0].Node.Ports[0].URL
			break
		}
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
	}
	text, err := raw.call(ctx, http.MethodGet, "/containers/mlride-"+p.instance+"-"+id+"/json", nil)
	if err != nil {
		return "", "", err
	}
	var found struct {
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return "", "", err
	}
	for _, n := range found.NetworkSettings.Networks {
		direct = fmt.Sprintf("http://%s:%d/", n.IPAddress, port)
	}
	return through, direct, nil
}

// warm signs in on the second origin, and waits until the program listens.
func (p *product) warm(ctx context.Context, through string) error {
	for {
		answer, err := get(ctx, p.http, through)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadGateway {
			return nil
		}
	}
}

func get(ctx context.Context, client *http.Client, at string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(r)
}

func download(ctx context.Context, client *http.Client, at string) (time.Duration, error) {
	began := time.Now()
	answer, err := get(ctx, client, at+"cgi-bin/down")
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && n != carried {
		err = fmt.Errorf("%s: %d bytes came (%s)", at, n, answer.Status)
	}
	return time.Since(began), err
}

func upload(ctx context.Context, client *http.Client, at string) (time.Duration, error) {
	began := time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"cgi-bin/up", io.LimitReader(zeros{}, carried))
	if err != nil {
		return 0, err
	}
	r.ContentLength = carried
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !strings.Contains(string(text), "done") {
		err = fmt.Errorf("%s: %s: %s", at, answer.Status, text)
	}
	return time.Since(began), err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
