package image_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/quota"
)

// offering is a house on an engine whose local image everybody may build on.
func offering(t *testing.T, eng engine.Engine, local string, change ...func(*image.Options)) (h *house, from string) {
	t.Helper()
	h = newHouse(t, eng, append([]func(*image.Options){func(o *image.Options) {
		o.Starter = local
		o.Build.Limits = engine.BuildLimits{Limits: engine.Limits{NanoCPUs: 1e9, Memory: 128 << 20}, Pids: 64}
	}}, change...)...)
	require.Eventually(t, func() bool {
		row, err := h.store.Client.Image.Query().Where(entimage.OwnerIDIsNil()).Only(sys)
		return err == nil && row.Status == entimage.StatusReady
	}, patience, 5*ms)
	return h, "FROM " + local + "\n"
}

// builder is one on the real engine.
func builder(t *testing.T, change ...func(*image.Options)) (h *house, from string) {
	t.Helper()
	return offering(t, dockertest.Engine(t, dockertest.Instance()), dockertest.Image(t), change...)
}

// fakeBuilder is one on the engine in memory.
func fakeBuilder(t *testing.T, change ...func(*image.Options)) (*house, *enginetest.Fake, string) {
	t.Helper()
	fake := enginetest.NewFake("a")
	fake.Load("tools/base:1", enginetest.FakeImage{})
	h, from := offering(t, fake, "tools/base:1", change...)
	return h, fake, from
}

func (h *house) build(ctx context.Context, name, dockerfile string) *ent.Image {
	h.t.Helper()
	row, err := h.BuildImage(ctx, image.BuildInput{Name: name, Dockerfile: &dockerfile})
	require.NoError(h.t, err)
	require.Equal(h.t, entimage.StatusPending, row.Status)
	return row
}

// log is the whole log as far as it is written.
func (h *house) log(ctx context.Context, id string) []string {
	h.t.Helper()
	var texts []string
	for after := 0; ; {
		lines, err := h.LogLines(ctx, id, after, 1000)
		require.NoError(h.t, err)
		if len(lines) == 0 {
			return texts
		}
		for _, l := range lines {
			require.Equal(h.t, after+1, l.Number, "without a gap")
			after = l.Number
			texts = append(texts, l.Text)
		}
	}
}

func (h *house) awaitLine(ctx context.Context, id, want string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lines, err := h.WatchLog(ctx, id, 0)
	require.NoError(h.t, err)
	var seen []string
	for l := range lines {
		if seen = append(seen, l.Text); strings.Contains(l.Text, want) {
			return
		}
	}
	require.Fail(h.t, "the line did not come", "%q among %q", want, seen)
}

// TestD30BuildIsFollowed: it returns with an id; lines and steps come by
// subscription; the log is kept; it can be cancelled, and nothing is left.
func TestD30BuildIsFollowed(t *testing.T) {
	t.Parallel()
	h, from := builder(t)
	ann := h.person("ann", roomy)
	row := h.build(ann, "tools", from+"RUN echo one && printf '\\033[31mred\\033[0m\\n'\nRUN printf 'bad \\377 byte\\n'; echo three > /note\n")
	lines, err := h.WatchLog(ann, row.ID, 0)
	require.NoError(t, err)
	var texts []string
	for l := range lines { // it ends with the build
		require.Equal(t, len(texts)+1, l.Number)
		texts = append(texts, l.Text)
	}
	whole := strings.Join(texts, "\n")
	require.Contains(t, whole, "\none\n\x1b[31mred\x1b[0m\n")
	require.Contains(t, whole, "bad � byte")
	require.Contains(t, whole, "FROM docker.io/"+dockertest.Image(t), "people know the base by its reference")
	row = h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Positive(t, *row.Size)
	require.Equal(t, "docker.io/"+dockertest.Image(t), *row.BaseReference)
	require.Equal(t, texts, h.log(ann, row.ID))
	rest, err := h.LogLines(ann, row.ID, len(texts)-1, 100)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	found, err := dockertest.Client(t).ImageInspect(sys, *row.EngineID)
	require.NoError(t, err)
	require.Equal(t, row.ID, found.Config.Labels["mlride.id"])

	slow := h.build(ann, "slow", from+"RUN echo begun && sleep 3600\n")
	h.awaitLine(ann, slow.ID, "begun")
	step, steps, ok := h.BuildStep(slow.ID)
	require.True(t, ok)
	require.Greater(t, step, 1)
	require.GreaterOrEqual(t, steps, step)
	_, err = h.Cancel(ann, slow.ID)
	require.NoError(t, err)
	slow = h.awaitStatus(ann, slow.ID, entimage.StatusCancelled)
	require.Equal(t, "The build was cancelled.", *slow.StatusMessage)
	require.NotEmpty(t, h.log(ann, slow.ID))
}

// TestBuildFailures: each ends in a stated state with a message that says what to do.
func TestBuildFailures(t *testing.T) {
	t.Parallel()
	h, from := builder(t, func(o *image.Options) { o.Build.Time = 20 * time.Second })
	ann := h.person("ann", roomy)
	for name, c := range map[string]struct{ dockerfile, want string }{
		"step":   {from + "RUN echo what is wrong && exit 7\n", "what is wrong"},
		"server": {from + "RUN wget -T 3 -O - http://127.0.0.1:1/ || exit 3\n", "returned a non-zero code: 3"},
		"base":   {"FROM " + dockertest.FreeAddress(t) + "/team/app:1\n", "The base is not to be had, and no other is taken in its place."},
		"never":  {from + "RUN sleep 3600\n", "The build took longer than 20s and was ended."},
	} {
		row := h.awaitStatus(ann, h.build(ann, name, c.dockerfile).ID, entimage.StatusFailed)
		require.Contains(t, *row.StatusMessage, c.want, name)
		require.Contains(t, strings.Join(h.log(ann, row.ID), "\n"), strings.Split(*row.StatusMessage, "\n")[0], name)
		_, err := h.Delete(ann, row.ID)
		require.NoError(t, err)
		h.awaitGone(ann, row.ID)
	}
	require.NoError(t, h.quota.Audit(sys))
}

// TestD23TwoOfOneName: a second build of a name is refused, and somebody else's
// of that name is another image. D22: rows are told apart by their ids.
func TestD23TwoOfOneName(t *testing.T) {
	t.Parallel()
	h, fake, from := fakeBuilder(t)
	a, ab := h.person("a", roomy), h.person("a-b", roomy)
	first := h.build(a, "b-c", from)
	second := h.build(ab, "c", from)
	third := h.build(ab, "b-c", from)
	chinese := h.build(a, "数据 分析", from)
	upper := h.build(a, "Bob", from)
	seen := map[string]bool{}
	for ctx, row := range map[context.Context]*ent.Image{a: first, ab: second} {
		seen[*h.awaitStatus(ctx, row.ID, entimage.StatusReady).EngineID] = true
	}
	seen[*h.awaitStatus(ab, third.ID, entimage.StatusReady).EngineID] = true
	seen[*h.awaitStatus(a, chinese.ID, entimage.StatusReady).EngineID] = true
	seen[*h.awaitStatus(a, upper.ID, entimage.StatusReady).EngineID] = true
	require.Len(t, seen, 5)
	dockerfile := from
	_, err := h.BuildImage(a, image.BuildInput{Name: "b-c", Dockerfile: &dockerfile})
	requireCode(t, fault.Conflict, err)
	require.Equal(t, 5, fake.Calls(enginetest.MethodBuild))
	require.NoError(t, h.quota.Audit(sys))
}

// TestD25BaseIsWhatWasNamed: what lies in the engine under a like name, or as
// somebody's build of that very name, is never taken as base. D26: what is not to
// be had fails. D29: only the base that is used is pulled.
func TestD25BaseIsWhatWasNamed(t *testing.T) {
	t.Parallel()
	h, fake, from := fakeBuilder(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Load("evil/python:3.9-x", enginetest.FakeImage{})
	fake.Load("python:3.9", enginetest.FakeImage{}) // the operator's own, shown to nobody
	h.awaitStatus(bob, h.build(bob, "docker.io/library/python:3.9", from).ID, entimage.StatusReady)
	h.awaitStatus(ann, h.build(ann, "docker.io/library/python:3.9", from).ID, entimage.StatusReady)
	row := h.awaitStatus(ann, h.build(ann, "mine", "FROM python:3.9\n").ID, entimage.StatusFailed)
	require.Contains(t, *row.StatusMessage, "no python:3.9")
	require.Equal(t, 1, fake.Calls(enginetest.MethodPull))

	fake.Publish("python:3.8", enginetest.FakeImage{})
	fake.Publish("python:3.12", enginetest.FakeImage{})
	row = h.awaitStatus(ann, h.build(ann, "older", "ARG V=3.8\nFROM python:${V}\n").ID, entimage.StatusReady)
	require.Equal(t, "docker.io/library/python:3.8", *row.BaseReference)
	require.NotEmpty(t, *row.BaseDigest)
	require.Equal(t, 2, fake.Calls(enginetest.MethodPull))
	// D09: nobody builds on another's private image.
	private := h.ready(bob, "python:3.12", false)
	release := fake.Hang(enginetest.MethodPull)
	waits := h.build(ann, "theirs", "FROM python:3.12\n")
	h.awaitLine(ann, waits.ID, "Fetching the base docker.io/library/python:3.12")
	release()
	h.awaitStatus(ann, waits.ID, entimage.StatusReady)
	require.NotNil(t, private.EngineID)
}

// TestD09NoForeignImages: none of the engine's own names leads to an image.
func TestD09NoForeignImages(t *testing.T) {
	t.Parallel()
	h, _, from := fakeBuilder(t)
	ann := h.person("ann", roomy)
	for _, dockerfile := range []string{
		"FROM mlride-a/img_1\n", "FROM mlride-a/img_1:latest\n", "FROM docker.io/mlride-a/img_1\n", "FROM sha256:" + strings.Repeat("a", 64) + "\n",
		"FROM 0123456789ab\n", "ARG X=mlride-a/img_1\nFROM $X\n", "ARG X=mlride-a\nFROM ${X}/img_1\n", from + "COPY --from=mlride-a/img_1 / /\n",
		from + "COPY --from=python:3.12 / /\n", from + "ADD http://example.com/x /x\n", from + "add https://example.com/x /x\n",
		from + "A\\\nDD http://example.com/x /x\n", "# escape=`\n" + from + "AD`\nD http://example.com/x /x\n", from + "ONBUILD ADD http://example.com/x /x\n",
		from + "RUN --mount=type=bind,from=mlride-a/img_1 ls\n", from + "LABEL mlride.id=ctr_1\n", from + "ARG L=mlride.id\nLABEL $L=ctr_1\n",
		"FROM --platform=linux/arm64 tools/base:1\n", "RUN echo before\n" + from, "", "FROM scratch AS\n", from + "BOGUS x\n",
		from + "COPY . /\n", from + "RUN cat <<EOF\n", "FROM\n", from + "RUN echo \x00\n",
	} {
		_, err := h.BuildImage(ann, image.BuildInput{Name: "x", Dockerfile: &dockerfile})
		require.Error(t, err, dockerfile)
		f := requireCode(t, fault.BadUserInput, err)
		require.Equal(t, "dockerfile", f.Violations[0].Field, dockerfile)
	}
	many := from + "ADD a b\nRUN ok\nBOGUS\nCOPY . /\n"
	_, err := h.BuildImage(ann, image.BuildInput{Name: "", Dockerfile: &many, Packages: []string{"numpy"}})
	require.GreaterOrEqual(t, len(requireCode(t, fault.BadUserInput, err).Violations), 3)
}

// TestBuildQueue: one at a time for each person, so many in all, whoever has none
// before whoever has one; places are told.
func TestBuildQueue(t *testing.T) {
	t.Parallel()
	h, _, from := fakeBuilder(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	first := h.build(ann, "first", from+"RUN sleep 3600\n")
	h.awaitStatus(ann, first.ID, entimage.StatusBuilding)
	place := func(ctx context.Context, id string, want int) {
		t.Helper()
		h.await(ctx, id, fmt.Sprint("place ", want), func(*ent.Image) bool {
			got, _ := h.QueuePosition(id)
			return got == want
		})
	}
	second := h.build(ann, "second", from)
	place(ann, second.ID, 1)
	third := h.build(ann, "third", from)
	place(ann, third.ID, 2)
	his := h.build(bob, "his", from+"RUN sleep 3600\n")
	place(bob, his.ID, 1)
	place(ann, second.ID, 2)
	place(ann, third.ID, 3)
	_, err := h.Cancel(ann, third.ID) // while it waits
	require.NoError(t, err)
	h.awaitStatus(ann, third.ID, entimage.StatusCancelled)
	_, err = h.Cancel(ann, first.ID)
	require.NoError(t, err)
	h.awaitStatus(bob, his.ID, entimage.StatusBuilding)
	place(ann, second.ID, 1)
	_, err = h.Delete(bob, his.ID) // deleting gives it up
	require.NoError(t, err)
	h.awaitGone(bob, his.ID)
	h.awaitStatus(ann, second.ID, entimage.StatusReady)
	require.NoError(t, h.quota.Audit(sys))
}

// TestBuildInterrupted: the next server's life, and the engine when it is back,
// begin it again; not for ever.
func TestBuildInterrupted(t *testing.T) {
	t.Parallel()
	h, fake, from := fakeBuilder(t)
	ann := h.person("ann", roomy)
	row := h.build(ann, "again", from+"RUN echo begun; sleep 3600\n")
	h.awaitLine(ann, row.ID, "begun")
	fake.Down()
	told := h.await(ann, row.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	require.Equal(t, entimage.StatusBuilding, told.Status)
	fake.Up()
	h.EngineUp()
	h.awaitLine(ann, row.ID, "[Attempt 2 of 3")
	h.awaitLine(ann, row.ID, "begun")
	h.close()
	h.open()
	h.awaitLine(ann, row.ID, "[Attempt 3 of 3")
	h.awaitLine(ann, row.ID, "begun")
	h.close()
	h.open()
	row = h.awaitStatus(ann, row.ID, entimage.StatusFailed)
	require.Contains(t, *row.StatusMessage, "ended 3 times")
}

// TestBuildFaults are those that only a fake makes.
func TestBuildFaults(t *testing.T) {
	t.Parallel()
	h, fake, from := fakeBuilder(t)
	ann := h.person("ann", roomy)
	fake.Fail(enginetest.MethodBuild, engine.ErrDiskFull, 1)
	row := h.awaitStatus(ann, h.build(ann, "full", from).ID, entimage.StatusFailed)
	require.Contains(t, *row.StatusMessage, "disk is full")
	fake.Fail(enginetest.MethodBuild, engine.ErrRefused, 1)
	row = h.awaitStatus(ann, h.build(ann, "refused", from).ID, entimage.StatusFailed)
	require.Contains(t, *row.StatusMessage, "Choose another base")

	poor := h.person("poor", quota.Limits{Containers: 1, CPU: 1000, Memory: record.GiB, Images: 1, Disk: record.GiB})
	h.build(poor, "one", from)
	dockerfile := from
	_, err := h.BuildImage(poor, image.BuildInput{Name: "two", Dockerfile: &dockerfile})
	requireCode(t, fault.QuotaExceeded, err)
}

// TestBuildIsPrivate: the Dockerfile is told to the owner and to administrators,
// the log to whoever sees the image.
func TestBuildIsPrivate(t *testing.T) {
	t.Parallel()
	h, _, from := fakeBuilder(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	row := h.awaitStatus(ann, h.build(ann, "mine", from).ID, entimage.StatusReady)
	require.Equal(t, from, *h.Dockerfile(ann, row))
	require.Nil(t, h.Dockerfile(bob, row))
	require.Nil(t, h.Form(bob, row))
	_, err := h.WatchLog(bob, row.ID, 0)
	requireCode(t, fault.NotFound, err)
	require.Empty(t, h.log(bob, row.ID))
}

// TestLogIsCapped: of what a build prints, how it began and how it ended is kept,
// with a line that says how much was cut.
func TestLogIsCapped(t *testing.T) {
	t.Parallel()
	h, from := builder(t)
	ann := h.person("ann", roomy)
	row := h.build(ann, "chatty", from+"RUN seq 1 30000; head -c 20000 /dev/zero | tr '\\000' x; echo; printf 'a 1%%\\ra 100%%\\n'; echo the end\n")
	row = h.awaitStatus(ann, row.ID, entimage.StatusReady)
	lines := h.log(ann, row.ID)
	require.Less(t, len(lines), 10_010)
	bytes := 0
	for _, l := range lines {
		bytes += len(l)
		require.Less(t, len(l), 5000)
	}
	require.Less(t, bytes, 3<<20)
	whole := strings.Join(lines, "\n")
	require.Regexp(t, `\n4000\n`, whole)
	require.Regexp(t, `\[\d+ lines were cut here\.\]`, whole)
	require.Contains(t, whole, "[15904 more bytes of this line]")
	require.Contains(t, whole, "\na 100%\nthe end\n")
	require.NotContains(t, whole, "\n15000\n")
	require.Equal(t, entimage.StatusReady, row.Status)
}

// TestCommitContainer: a place, a name and room are needed; minima are those of
// the image that the container is of.
func TestCommitContainer(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("python:3.12", small)
	of := h.ready(ann, "python:3.12", false)
	require.NoError(t, h.store.Client.Image.UpdateOneID(of.ID).SetMinCPU(500).SetMinMemory(64*record.MiB).Exec(sys))
	c := h.container(ann, "box", of.ID)
	_, err := h.CommitContainer(ann, c.ID, "saved")
	requireCode(t, fault.InvalidState, err) // the engine has nothing of it yet
	require.NoError(t, h.engine.Create(sys, engine.Spec{ID: c.ID, Owner: c.OwnerID, ImageID: of.ID, Limits: engine.Limits{NanoCPUs: 1e8, Memory: 16 << 20}, Command: []string{"sleep", "1"}}))
	require.NoError(t, h.store.Client.Container.UpdateOneID(c.ID).SetObserved(container.ObservedCreated).Exec(sys))
	_, err = h.CommitContainer(bob, c.ID, "saved")
	requireCode(t, fault.NotFound, err)
	_, err = h.CommitContainer(ann, c.ID, "a\nb")
	requireCode(t, fault.BadUserInput, err)
	saved, err := h.CommitContainer(ann, c.ID, "saved")
	require.NoError(t, err)
	saved = h.awaitStatus(ann, saved.ID, entimage.StatusReady)
	require.Equal(t, entimage.SourceCommit, saved.Source)
	require.EqualValues(t, 500, saved.MinCPU)
	require.Equal(t, 64*record.MiB, saved.MinMemory)
	_, err = h.CommitContainer(ann, c.ID, "saved")
	requireCode(t, fault.Conflict, err)
	fake.Fail(enginetest.MethodCommit, engine.ErrDiskFull, 1)
	failed, err := h.CommitContainer(ann, c.ID, "full")
	require.NoError(t, err)
	require.Contains(t, *h.awaitStatus(ann, failed.ID, entimage.StatusFailed).StatusMessage, "disk is full")
	h.holds(of.ID, saved.ID)
}
