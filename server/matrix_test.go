package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/session"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// castle is the whole site on an engine in memory: real database, features,
// handler and transports.
type castle struct {
	*rig
	house *house
	feed  *live.Feed
	fake  *enginetest.Fake
	n     atomic.Int64
	// hash is of the password of everybody in the castle.
	hash string
	// reached counts the root fields whose resolvers ran.
	reached atomic.Int64
}

// counting tells when a root field is let through: its resolver is asked for then.
type counting struct {
	generated.ResolverRoot
	reached *atomic.Int64
}

func (r counting) Query() generated.QueryResolver {
	r.reached.Add(1)
	return r.ResolverRoot.Query()
}

func (r counting) Mutation() generated.MutationResolver {
	r.reached.Add(1)
	return r.ResolverRoot.Mutation()
}

func (r counting) Subscription() generated.SubscriptionResolver {
	r.reached.Add(1)
	return r.ResolverRoot.Subscription()
}

const (
	thePassword = "correct horse 9 battery"
	theImage    = "tools/busybox:1"
)

var theSystem = auth.AsSystem(context.Background())

func newCastle(t *testing.T) *castle {
	t.Helper()
	config := Defaults()
	config.Data, config.Firewall, config.MinMemory = t.TempDir(), "off", Size(16*record.MiB)
	config.HostReserve, config.Overcommit = Reserve{}, Overcommit{CPU: 1000, Memory: 1000}
	config.Registration = string(account.Open)
	config.DefaultQuota = Quota{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, Images: 100, Volumes: 100, Disk: record.GiB}
	c := &castle{fake: enginetest.NewFake("a"), feed: &live.Feed{}}
	c.fake.Load(theImage, enginetest.FakeImage{})
	log := &lockedBuffer{}
	c.house = &house{
		config: config, version: "test", instance: "a", engine: c.fake,
		here: func(context.Context) (bool, string, error) { return false, "a fake", nil },
		log:  slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	var err error
	c.house.store, err = store.Open(theSystem, config.DatabasePath())
	require.NoError(t, err)
	require.NoError(t, c.house.features(theSystem, c.feed))
	life, end := context.WithCancel(theSystem)
	var running sync.WaitGroup
	for _, run := range c.house.loops {
		running.Go(func() { run(life) })
	}
	<-c.house.lifecycle.FirstTry()
	handler := NewHandler(Deps{
		Resolver: counting{c.house.resolver, &c.reached}, Accounts: c.house.accounts, Terminals: c.house.terminals, Ready: c.house.ready, Config: config,
		Trail: c.house.audit, Outputs: c.house.monitor, Assets: page, Log: c.house.log,
	})
	handler.api.viewers.ping = 50 * time.Millisecond
	c.rig = &rig{handler: handler, log: log, Server: httptest.NewServer(handler)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, handler.Goodbye(ctx))
		c.Close()
		end()
		running.Wait()
		assert.NoError(t, c.house.close())
	})
	answer := c.post(t, "", fmt.Sprintf(`mutation{register(input:{username:"first",email:"first@example.org",password:%q}){user{role}}}`, thePassword), nil)
	require.Contains(t, answer.body, "ADMIN")
	c.hash = c.client().User.Query().OnlyX(theSystem).PasswordHash
	return c
}

func (c *castle) client() *ent.Client { return c.house.store.Client }

// person makes an account; ctx is theirs.
func (c *castle) person(t *testing.T, name string, role user.Role) (*ent.User, context.Context) {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, c.n.Add(1))
	row := c.client().User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash(c.hash).SetRole(role).
		SetEmail(name + "@example.org").SetEmailKey(name + "@example.org").SaveX(theSystem)
	require.NoError(t, c.house.quota.Give(theSystem, c.client(), row.ID))
	return row, auth.With(t.Context(), auth.Viewer{UserID: row.ID, Username: name, Admin: role == user.RoleAdmin})
}

// signIn makes a session of somebody's that lasts so long.
func (c *castle) signIn(u *ent.User, lasts time.Duration) (token string, row *ent.Session) {
	token = rand.Text()
	sum := sha256.Sum256([]byte(token))
	row = c.client().Session.Create().SetUserID(u.ID).SetTokenHash(hex.EncodeToString(sum[:])).SetIP("192.0.2.1").
		SetUserAgent("matrix").SetExpiresAt(time.Now().UTC().Add(lasts)).SaveX(theSystem)
	return token, row
}

// things are what an owner has; <name> in a call is the id of one.
type things struct {
	c     *castle
	t     *testing.T
	owner *ent.User
	ctx   context.Context
	// mark is in the name of everything of the owner's, and nowhere else.
	mark string
	ids  map[string]string
	// spent is set by a call that may have changed them.
	spent bool
}

func (c *castle) things(t *testing.T) *things {
	t.Helper()
	owner, ctx := c.person(t, "owner", user.RoleUser)
	return &things{c: c, t: t, owner: owner, ctx: ctx, mark: "x" + strings.ToLower(rand.Text()), ids: map[string]string{}}
}

// make gives the ids of what text names, and makes what there is not yet.
func (o *things) fill(text string) string {
	o.t.Helper()
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if o.ids[m[1]] == "" {
			maker := makers[m[1]]
			require.NotNil(o.t, maker, "nothing makes <%s>", m[1])
			o.ids[m[1]] = maker(o)
		}
		text = strings.ReplaceAll(text, m[0], o.ids[m[1]])
	}
	return text
}

var placeholder = regexp.MustCompile(`<([a-z]+)>`)

var makers map[string]func(o *things) string

// The makers make what others of them need, so they are put together here.
func init() {
	makers = map[string]func(o *things) string{
		"new":      func(o *things) string { return fmt.Sprintf("new-%d", o.c.n.Add(1)) },
		"password": func(*things) string { return thePassword },
		"someone": func(o *things) string {
			row, _ := o.c.person(o.t, "someone", user.RoleUser)
			return row.Username
		},
		"user": func(o *things) string { return o.owner.ID },
		"quota": func(o *things) string {
			return o.c.client().User.GetX(theSystem, o.owner.ID).QueryQuota().OnlyIDX(theSystem)
		},
		"session": func(o *things) string {
			_, row := o.c.signIn(o.owner, time.Hour)
			return row.ID
		},
		"image":     func(o *things) string { return o.image(o.mark, image.VisibilityPrivate) },
		"public":    func(o *things) string { return o.image("public-"+rand.Text(), image.VisibilityPublic) },
		"container": func(o *things) string { return o.container(o.mark, false) },
		"running": func(o *things) string {
			id := o.container(o.mark+"-runs", true)
			changes := o.c.feed.Subscribe(o.t.Context(), func(change live.Change) bool { return change.ID == id })
			for o.c.client().Container.GetX(theSystem, id).Status != container.StatusRunning {
				_, err := changes.Next(o.t.Context())
				require.NoError(o.t, err)
			}
			return id
		},
		"terminal": func(o *things) string {
			view, err := o.c.house.terminals.Attach(o.ctx, o.fill("<running>"), "main", 80, 24)
			require.NoError(o.t, err)
			view.Close()
			return "main"
		},
		"volume": func(o *things) string { return o.volume(o.mark) },
		"trash": func(o *things) string {
			id := o.volume(o.mark + "-trash")
			_, err := o.c.house.volumes.Delete(o.ctx, id)
			require.NoError(o.t, err)
			return id
		},
		"event": func(o *things) string {
			require.NoError(o.t, audit.Record(o.ctx, o.c.client(), audit.Entry{Action: "test.made", TargetName: o.mark}))
			return o.c.client().AuditEvent.Query().Where(auditevent.ActorID(o.owner.ID)).FirstIDX(theSystem)
		},
		"token": func(o *things) string {
			return o.c.client().AccessToken.Create().SetUserID(o.owner.ID).SetName(o.mark).SetTokenHash(rand.Text()).SaveX(theSystem).ID
		},
		"request": func(o *things) string {
			five := 5
			return o.c.client().QuotaRequest.Create().SetUserID(o.owner.ID).SetLimits(&record.Limits{MaxContainers: &five}).
				SetReason(o.mark).SaveX(theSystem).ID
		},
		"invitation": func(o *things) string {
			return o.c.client().Invitation.Create().SetCodeHash(rand.Text()).SetNote(o.mark).SetMaxUses(1).SaveX(theSystem).ID
		},
	}
}

func (o *things) container(name string, start bool) string {
	o.t.Helper()
	cpu, memory := 0.05, 16*record.MiB
	row, err := o.c.house.lifecycle.Create(o.ctx, lifecycle.Wanted{
		Name: name, ImageID: o.fill("<image>"), CPU: &cpu, Memory: &memory, Start: start,
		Command: []string{"sh", "-c", "echo " + o.mark + "; sleep 1000"}, RestartPolicy: container.RestartPolicyNever,
	})
	require.NoError(o.t, err)
	return row.ID
}

func (o *things) image(name string, visibility image.Visibility) string {
	row := o.c.client().Image.Create().SetOwnerID(o.owner.ID).SetReference("registry.test/" + name + ":1").
		SetRequestedReference(name).SetStatus(image.StatusReady).SetVisibility(visibility).SetMinMemory(16 * record.MiB).SaveX(theSystem)
	require.NoError(o.t, store.Tx(theSystem, o.c.client(), func(tx *ent.Client) error {
		return o.c.house.quota.ReserveImage(theSystem, tx, o.owner.ID)
	}))
	_, err := o.c.fake.Adopt(theSystem, row.ID, theImage)
	require.NoError(o.t, err)
	return row.ID
}

// eventOf is the trail's row of how a thing of the owner's was made.
func (o *things) eventOf(thing string) string {
	return o.c.client().AuditEvent.Query().Where(auditevent.Target(o.fill(thing))).FirstIDX(theSystem)
}

func (o *things) volume(name string) string {
	o.t.Helper()
	row, err := o.c.house.volumes.Create(o.ctx, name)
	require.NoError(o.t, err)
	return row.ID
}

// call is one call of a root field.
type call struct {
	// text names what is an owner's by <container>, <volume>, …
	text string
	// other is what another person who is signed in gets: a code; a part of the
	// answer's data when it begins with "; or, when empty, what the owner gets.
	other string
	// owner is what the owner gets; empty: the field is reached. Administrators
	// get it where the owner does, and where they have a say of their own, admin.
	owner, admin string
	// news is what a subscription waits for that says nothing at first.
	news live.Kind
	// ends says that what it does ends the caller's own sign-in: a stream may end
	// before its answer is through, and so has told that it was done.
	ends bool
}

const (
	notFound  = "NOT_FOUND"
	forbidden = "FORBIDDEN"
)

// matrix has for each root field the calls whose answers are known. A field
// without a row fails, as does an argument that takes an id and is given none
// of somebody else's.
var matrix = map[string][]call{
	"Query.node": {
		{text: `node(id:"<container>"){id}`, other: `"node":null`},
		{text: `node(id:"<running>"){... on Container{id name}}`, other: `"node":null`},
		{text: `node(id:"<image>"){... on Image{id reference}}`, other: `"node":null`},
		{text: `node(id:"<volume>"){... on Volume{id name}}`, other: `"node":null`},
		{text: `node(id:"<trash>"){... on Volume{id name}}`, other: `"node":null`},
		{text: `node(id:"<user>"){... on User{id username}}`, other: `"node":null`},
		{text: `node(id:"<session>"){... on Session{id ip}}`, other: `"node":null`},
		{text: `node(id:"<quota>"){... on Quota{id maxCpu}}`, other: `"node":null`},
		{text: `node(id:"<event>"){... on AuditEvent{id targetName}}`, other: `"node":null`},
		{text: `node(id:"<token>"){id}`, other: `"node":null`},
		{text: `node(id:"<request>"){id}`, other: `"node":null`},
		{text: `node(id:"<invitation>"){id}`, other: `"node":null`},
	},
	"Query.nodes": {{
		text:  `nodes(ids:["<container>","<image>","<volume>","<user>","<session>","<quota>","<event>","<token>","<request>","<invitation>"]){id}`,
		other: `"nodes":[null,null,null,null,null,null,null,null,null,null]`,
	}},
	"Query.viewer":     {{text: `viewer{id username email quota{id maxCpu} usage{containers} sessions{id ip}}`}},
	"Query.serverInfo": {{text: `serverInfo{version}`}},
	"Query.containers": {
		{text: `containers{edges{node{id name}}}`},
		{text: `containers(where:{ownerId:"<user>",imageId:"<image>",nameContains:"x"}){totalCount edges{node{id name owner{username}}}}`, other: `"containers":{"totalCount":0,"edges":[]}`},
		{text: `containers(where:{nameContains:"x"}){totalCount}`, other: `"totalCount":0`},
	},
	"Query.images": {
		{text: `images{edges{node{id reference}}}`},
		{text: `images(where:{ownerId:"<user>"}){totalCount edges{node{id reference}}}`, other: `"images":{"totalCount":0,"edges":[]}`},
	},
	"Query.volumes": {{text: `volumes{totalCount edges{node{id name}}}`}, {text: `volumes(trash:true){totalCount edges{node{id name}}}`, other: `"volumes":{"totalCount":0,"edges":[]}`}},
	"Query.users":   {{text: `users{totalCount edges{node{id username}}}`}},
	"Query.auditEvents": {
		{text: `auditEvents{edges{node{id actorName targetName}}}`},
		{text: `auditEvents(where:{actorId:"<user>"}){totalCount edges{node{id targetName}}}`, other: `"auditEvents":{"totalCount":0,"edges":[]}`},
		{text: `auditEvents(where:{target:"<container>"}){totalCount edges{node{id targetName}}}`, other: `"auditEvents":{"totalCount":0,"edges":[]}`},
	},
	"Query.invitations":    {{text: `invitations{totalCount}`}},
	"Query.quotaRequests":  {{text: `quotaRequests{totalCount}`, other: `"totalCount":0`}},
	"Query.imageCatalogue": {{text: `imageCatalogue{name}`}},
	"Query.imageBases":     {{text: `imageBases{name}`}},
	"Query.imagePresets":   {{text: `imagePresets{name}`}},
	"Query.previewDockerfile": {
		{text: `previewDockerfile(input:{name:"<new>",packages:["numpy"]})`},
	},
	"Query.admission": {
		{text: `admission(input:{name:"a",imageId:"<image>"}){allowed problems{code message}}`, other: `"code":"NOT_FOUND"`},
		{text: `admission(input:{name:"a",imageId:"<public>",volumes:[{volumeId:"<volume>",path:"/v"}]}){allowed problems{code message}}`, other: `"code":"NOT_FOUND"`},
	},
	"Query.system": {{text: `system{version}`}},

	"Mutation.register":          {{text: `register(input:{username:"<new>",email:"<new>@example.org",password:"<password>"}){user{id}}`}},
	"Mutation.login":             {{text: `login(input:{login:"<someone>",password:"<password>"}){user{id}}`}},
	"Mutation.logout":            {{text: `logout`, ends: true}},
	"Mutation.revokeSession":     {{text: `revokeSession(id:"<session>")`, ends: true, other: notFound, admin: notFound}},
	"Mutation.updateProfile":     {{text: `updateProfile(input:{nickname:"a"}){user{id}}`}},
	"Mutation.uploadAvatar":      {{text: `uploadAvatar(file:"none"){user{id}}`}},
	"Mutation.removeAvatar":      {{text: `removeAvatar{user{id}}`}},
	"Mutation.changePassword":    {{text: `changePassword(input:{currentPassword:"<password>",newPassword:"<password> 2"}){user{id}}`, ends: true}},
	"Mutation.deleteAccount":     {{text: `deleteAccount(password:"<password>"){user{id}}`, ends: true}},
	"Mutation.restoreAccount":    {{text: `restoreAccount(input:{login:"<someone>",password:"<password>"}){user{id}}`}},
	"Mutation.createAccessToken": {{text: `createAccessToken(input:{name:"a"}){secret}`}},
	"Mutation.revokeAccessToken": {{text: `revokeAccessToken(id:"<token>")`, other: notFound, admin: notFound}},
	"Mutation.requestQuota":      {{text: `requestQuota(input:{limits:{maxCpu:1000}}){quotaRequest{id}}`}},
	"Mutation.createUser":        {{text: `createUser(input:{username:"<new>",email:"<new>@example.org"}){user{id}}`}},
	"Mutation.updateUser":        {{text: `updateUser(id:"<user>",input:{nickname:"a"}){user{id}}`}},
	"Mutation.updateUsers":       {{text: `updateUsers(ids:["<user>"],input:{nickname:"a"}){id code}`}},
	"Mutation.resetPassword":     {{text: `resetPassword(userId:"<user>"){oneTimePassword}`}},
	"Mutation.deleteUser":        {{text: `deleteUser(id:"<user>"){user{id}}`}},
	"Mutation.deleteUsers":       {{text: `deleteUsers(ids:["<user>"]){id code}`}},
	"Mutation.restoreUser":       {{text: `restoreUser(id:"<user>"){user{id}}`}},
	"Mutation.importUsers":       {{text: `importUsers(input:{csv:"username,email"}){dryRun}`}},
	"Mutation.endOfTerm":         {{text: `endOfTerm(ids:["<user>"]){bytes}`}},
	"Mutation.createInvitation":  {{text: `createInvitation(input:{maxUses:1}){code}`}},
	"Mutation.revokeInvitation":  {{text: `revokeInvitation(id:"<invitation>")`}},
	"Mutation.grantQuota":        {{text: `grantQuota(id:"<request>"){quotaRequest{id}}`}},
	"Mutation.declineQuota":      {{text: `declineQuota(id:"<request>"){quotaRequest{id}}`}},
	"Mutation.setQuotas":         {{text: `setQuotas(userIds:["<user>"],input:{maxCpu:1}){id code}`}},
	"Mutation.setQuota":          {{text: `setQuota(userId:"<user>",input:{maxCpu:1}){quota{id}}`}},
	"Mutation.pullImage":         {{text: `pullImage(input:{reference:"registry.test/<new>:1"}){image{id}}`}},
	"Mutation.buildImage":        {{text: `buildImage(input:{name:"<new>",dockerfile:"FROM scratch"}){image{id dockerfile}}`}},
	"Mutation.commitContainer":   {{text: `commitContainer(id:"<container>",input:{name:"<new>"}){image{id}}`, other: notFound, admin: forbidden}},
	"Mutation.cancelImage":       {{text: `cancelImage(id:"<image>"){image{id}}`, other: notFound}},
	"Mutation.deleteImage":       {{text: `deleteImage(id:"<image>"){image{id}}`, other: notFound}},
	"Mutation.updateImage": {
		{text: `updateImage(id:"<image>",input:{minGpu:0,sharedWithUsernames:["<someone>"]}){image{id sharedWith{id}}}`, other: notFound},
		{text: `updateImage(id:"<image>",input:{sharedWithIds:["<user>"]}){image{id}}`, other: notFound},
		{text: `updateImage(id:"<image>",input:{visibility:PUBLIC}){image{id}}`, owner: forbidden, other: notFound, admin: "reached"},
		{text: `updateImage(id:"<public>",input:{minGpu:0}){image{id}}`, other: forbidden},
	},
	"Mutation.refreshImage": {
		{text: `refreshImage(id:"<image>"){image{id}}`, other: notFound},
		{text: `refreshImage(id:"<public>"){image{id}}`, other: forbidden},
	},
	"Mutation.pruneImages":  {{text: `pruneImages(dryRun:true){bytes untagged}`}},
	"Mutation.createVolume": {{text: `createVolume(input:{name:"<new>"}){volume{id}}`}},
	"Mutation.updateVolume": {
		{text: `updateVolume(id:"<volume>",input:{name:"<new>"}){volume{id}}`, other: notFound},
		{text: `updateVolume(id:"<volume>",input:{visibility:PUBLIC}){volume{id}}`, owner: forbidden, other: notFound, admin: "reached"},
	},
	"Mutation.deleteVolume":  {{text: `deleteVolume(id:"<volume>"){volume{id}}`, other: notFound}},
	"Mutation.restoreVolume": {{text: `restoreVolume(id:"<trash>"){volume{id}}`, other: notFound}},
	"Mutation.purgeVolume":   {{text: `purgeVolume(id:"<trash>")`, other: notFound}},
	"Mutation.closeTerminal": {{text: `closeTerminal(id:"<running>",name:"<terminal>"){container{id}}`, other: notFound}},
	"Mutation.keepContainer": {{text: `keepContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.createContainer": {
		{text: `createContainer(input:{name:"<new>",imageId:"<image>",start:false}){container{id}}`, other: notFound},
		{text: `createContainer(input:{name:"<new>",imageId:"<public>",start:false,volumes:[{volumeId:"<volume>",path:"/v"}]}){container{id}}`, other: notFound, admin: "any"},
	},
	"Mutation.startContainer":   {{text: `startContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.stopContainer":    {{text: `stopContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.restartContainer": {{text: `restartContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.pauseContainer":   {{text: `pauseContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.unpauseContainer": {{text: `unpauseContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.updateContainer":  {{text: `updateContainer(id:"<container>",input:{name:"<new>"}){container{id}}`, other: notFound}},
	"Mutation.removeContainer":  {{text: `removeContainer(id:"<container>"){container{id}}`, other: notFound}},
	"Mutation.openJupyter":      {{text: `openJupyter(id:"<container>"){url}`, owner: "INVALID_STATE", other: notFound}},
	"Mutation.startContainers":  {{text: `startContainers(ids:["<container>"]){container{id} code}`, other: `{"container":null,"code":"NOT_FOUND"}`}},
	"Mutation.stopContainers":   {{text: `stopContainers(ids:["<container>"]){container{id} code}`, other: `{"container":null,"code":"NOT_FOUND"}`}},
	"Mutation.removeContainers": {{text: `removeContainers(ids:["<container>"]){container{id} code}`, other: `{"container":null,"code":"NOT_FOUND"}`}},

	"Subscription.containerStats":  {{text: `containerStats(id:"<running>"){pids}`, other: notFound}},
	"Subscription.containersStats": {{text: `containersStats(ids:["<running>"]){pids}`, other: notFound}},
	"Subscription.containerLogs":   {{text: `containerLogs(id:"<running>"){text}`, other: notFound}},
	"Subscription.containerChanged": {
		{text: `containerChanged(id:"<container>"){container{id name}}`, other: notFound},
		{text: `containerChanged(all:true){id}`, owner: forbidden, other: forbidden, admin: "reached", news: live.Container},
	},
	"Subscription.imageChanged": {
		{text: `imageChanged(id:"<image>"){image{id reference}}`, other: notFound},
		{text: `imageChanged(all:true){id}`, owner: forbidden, other: forbidden, admin: "reached", news: live.Image},
	},
	"Subscription.imageLog":        {{text: `imageLog(id:"<image>"){number text}`, other: notFound}},
	"Subscription.auditEventAdded": {{text: `auditEventAdded(where:{actorId:"<user>",target:"<container>"}){action}`, news: live.Audit}},
	"Subscription.usageChanged":    {{text: `usageChanged{containers}`}},
}

// credentials are what a request carries.
type credentials struct{ cookie, bearer string }

// asker is one kind of caller. as says whose rights they have.
type asker struct {
	name string
	as   string // visitor, owner, other, admin
	// with signs one in, for one call. It may make a person of its own.
	with func(o *things) credentials
	// readOnly callers may not do any mutation.
	readOnly bool
	// spends says that signing in changes the owner.
	spends bool
	// only are the fields that this caller may use beside those for everybody;
	// all when nil. Those in not are FORBIDDEN.
	only, not []string
}

func (o *things) somebody(role user.Role, lasts time.Duration, change func(*ent.UserUpdateOne)) credentials {
	u, _ := o.c.person(o.t, "caller", role)
	if change != nil {
		up := o.c.client().User.UpdateOneID(u.ID)
		change(up)
		up.ExecX(theSystem)
	}
	token, _ := o.c.signIn(u, lasts)
	return credentials{cookie: token}
}

// askers are all kinds of callers. A kind that the server does not know yet is
// in later below.
var askers = []asker{
	{name: "visitor", as: "visitor", with: func(*things) credentials { return credentials{} }},
	{name: "owner", as: "owner", with: func(o *things) credentials {
		token, _ := o.c.signIn(o.owner, time.Hour)
		return credentials{cookie: token}
	}},
	{name: "other user", as: "other", with: func(o *things) credentials { return o.somebody(user.RoleUser, time.Hour, nil) }},
	{name: "administrator", as: "admin", with: func(o *things) credentials { return o.somebody(user.RoleAdmin, time.Hour, nil) }},
	{name: "suspended administrator", as: "visitor", with: func(o *things) credentials {
		return o.somebody(user.RoleAdmin, time.Hour, func(up *ent.UserUpdateOne) { up.SetSuspendedAt(time.Now().UTC()) })
	}},
	{name: "suspended owner", as: "visitor", spends: true, with: func(o *things) credentials {
		token, _ := o.c.signIn(o.owner, time.Hour)
		o.c.client().User.UpdateOneID(o.owner.ID).SetSuspendedAt(time.Now().UTC()).ExecX(theSystem)
		return credentials{cookie: token}
	}},
	{name: "expired session", as: "visitor", with: func(o *things) credentials { return o.somebody(user.RoleAdmin, -time.Second, nil) }},
	{name: "forged cookie", as: "visitor", with: func(*things) credentials { return credentials{cookie: rand.Text()} }},
}

// init adds the callers whose credentials are more than a cookie.
func init() {
	askers = append(askers,
		asker{name: "access token", as: "owner", not: []string{"createAccessToken", "logout"}, with: func(o *things) credentials { return o.accessToken(false) }},
		asker{name: "read-only token", as: "owner", readOnly: true, with: func(o *things) credentials { return o.accessToken(true) }},
		asker{name: "token in a cookie", as: "visitor", with: func(o *things) credentials {
			return credentials{cookie: o.accessToken(false).bearer}
		}},
		asker{name: "one-time password", as: "owner", spends: true, only: []string{"changePassword", "logout"}, with: func(o *things) credentials {
			token, _ := o.c.signIn(o.owner, time.Hour)
			o.c.client().User.UpdateOneID(o.owner.ID).SetMustChangePassword(true).ExecX(theSystem)
			return credentials{cookie: token}
		}},
		asker{name: "ended account", as: "visitor", with: func(o *things) credentials {
			return o.somebody(user.RoleAdmin, time.Hour, func(up *ent.UserUpdateOne) { up.SetExpiresAt(time.Now().UTC().Add(-time.Second)) })
		}},
		asker{name: "deleted account", as: "visitor", with: func(o *things) credentials {
			return o.somebody(user.RoleAdmin, time.Hour, func(up *ent.UserUpdateOne) { up.SetDeletionScheduledAt(time.Now().UTC().Add(time.Hour)) })
		}},
	)
}

// accessToken makes one of the owner's.
func (o *things) accessToken(readOnly bool) credentials {
	token := "mlr_" + rand.Text()
	sum := sha256.Sum256([]byte(token))
	o.c.client().AccessToken.Create().SetUserID(o.owner.ID).SetName(rand.Text()).SetReadOnly(readOnly).
		SetTokenHash(hex.EncodeToString(sum[:])).ExecX(theSystem)
	return credentials{bearer: token}
}

// reply is the first answer to an operation.
type reply struct {
	answerOf
	status int
	// ended says that the stream ended without a word.
	ended bool
}

// transports are the ways of asking.
var transports = []struct {
	name  string
	kinds string
	ask   func(c *castle, t *testing.T, who credentials, operation string, provoke func()) reply
}{
	{"POST", "Query Mutation", (*castle).byPost},
	{"GET", "Query Mutation", (*castle).byGet},
	{"SSE", "Query Mutation Subscription", (*castle).bySSE},
	{"WebSocket", "Query Mutation Subscription", (*castle).bySocket},
}

func (who credentials) header() map[string]string {
	if who.bearer == "" {
		return map[string]string{}
	}
	return map[string]string{"Authorization": "Bearer " + who.bearer}
}

func (c *castle) byPost(t *testing.T, who credentials, operation string, _ func()) reply {
	body, err := json.Marshal(map[string]any{"query": operation})
	require.NoError(t, err)
	header := who.header()
	header["Content-Type"] = typeJSON
	a := c.do(t, request{method: http.MethodPost, path: "/graphql", token: who.cookie, body: string(body), header: header})
	return reply{answerOf: a, status: a.status}
}

func (c *castle) byGet(t *testing.T, who credentials, operation string, _ func()) reply {
	a := c.do(t, request{method: http.MethodGet, path: "/graphql?query=" + url.QueryEscape(operation), token: who.cookie, header: who.header()})
	return reply{answerOf: a, status: a.status}
}

// first waits for the first of a stream, and makes news meanwhile for those that
// tell only what is new.
func first[T any](t *testing.T, stream <-chan T, provoke func()) (v T, ok bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(30 * time.Second)
	for {
		select {
		case v, ok := <-stream:
			return v, ok
		case <-again.C:
			if provoke != nil {
				provoke()
			}
		case <-late:
			require.FailNow(t, "the stream says nothing")
			return v, false
		}
	}
}

func (c *castle) bySSE(t *testing.T, who credentials, operation string, provoke func()) reply {
	body, err := json.Marshal(map[string]any{"query": operation})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/graphql", strings.NewReader(string(body)))
	require.NoError(t, err)
	for name, value := range who.header() {
		r.Header.Set(name, value)
	}
	r.Header.Set("Accept", typeEvents)
	r.Header.Set("Content-Type", typeJSON)
	if who.cookie != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: who.cookie})
	}
	answered, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	events := make(chan event)
	defer func() {
		_ = answered.Body.Close()
		for range events { // until the reader has noticed
		}
	}()
	go readEvents(answered.Body, events)
	e, ok := first(t, events, provoke)
	if !ok {
		return reply{ended: true}
	}
	return parsed(t, e.data)
}

func (c *castle) bySocket(t *testing.T, who credentials, operation string, provoke func()) reply {
	var header []string
	for name, value := range who.header() {
		header = append(header, name, value)
	}
	conn, _, err := c.dial(t, who.cookie, transportWS, header...)
	require.NoError(t, err)
	defer func() { _ = conn.CloseNow() }()
	s := client{t, conn}
	s.send(`{"type":"connection_init"}`)
	require.Equal(t, "connection_ack", s.read().Type)
	s.subscribe("1", operation)
	messages := make(chan message, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(messages)
		for {
			kind, text, err := conn.Read(ctx)
			var m message
			if err != nil || kind != websocket.MessageText || json.Unmarshal(text, &m) != nil {
				return
			}
			if m.Type == "ping" || m.Type == "pong" {
				continue
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	m, ok := first(t, messages, provoke)
	if !ok {
		return reply{ended: true}
	}
	if m.Type == "error" {
		return parsed(t, `{"errors":`+string(m.Payload)+`}`)
	}
	return parsed(t, string(m.Payload))
}

func parsed(t *testing.T, text string) reply {
	t.Helper()
	var r reply
	if text != "" { // a stream that completes at once says nothing
		require.NoError(t, json.Unmarshal([]byte(text), &r.answerOf), text)
	}
	r.body = text
	return r
}

// TestMatrix calls every root field as everybody, by every transport.
func TestMatrix(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	fields, calls := 0, atomic.Int64{}
	t.Run("fields", func(t *testing.T) {
		eachRootField(func(kind string, field *ast.FieldDefinition) {
			fields++
			name := kind + "." + field.Name
			rows := matrix[name]
			if !assert.NotEmpty(t, rows, "%s has no expectation in the matrix", name) {
				return
			}
			for _, argument := range idArguments(field) {
				assert.True(t, slices.ContainsFunc(rows, func(row call) bool { return argument.MatchString(row.text) }),
					"%s: nothing of somebody else's is given to %s", name, argument)
			}
			access := generated.Access(field.Directives.ForName("access").Arguments.ForName("to").Value.Raw)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var o *things
				for _, row := range rows {
					for _, who := range askers {
						for _, way := range transports {
							if !strings.Contains(way.kinds, kind) {
								continue
							}
							calls.Add(1)
							// What may have changed things is followed by new ones.
							if o == nil || o.spent {
								o = c.things(t)
							}
							o.judge(kind, field, access, row, who, way.name, way.ask)
						}
					}
				}
			})
		})
	})
	for name := range matrix {
		kind, field, _ := strings.Cut(name, ".")
		known := false
		eachRootField(func(k string, f *ast.FieldDefinition) { known = known || k == kind && f.Name == field })
		assert.True(t, known, "%s is not in the schema any more", name)
	}
	t.Logf("%d fields, %d callers, %d transports: %d calls", fields, len(askers), len(transports), calls.Load())
}

// TestRefusedReachNothing: many verbs ask for rights once more, so that their
// answers alone would not tell whether @access had let somebody through.
func TestRefusedReachNothing(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	t.Run("fields", func(t *testing.T) {
		eachRootField(func(kind string, field *ast.FieldDefinition) {
			name := kind + "." + field.Name
			access := generated.Access(field.Directives.ForName("access").Arguments.ForName("to").Value.Raw)
			if access == generated.AccessPublic || len(matrix[name]) == 0 {
				return
			}
			t.Run(name, func(t *testing.T) { // one after the other: there is one counter
				o := c.things(t)
				operation := o.fill(strings.ToLower(kind) + "{" + matrix[name][0].text + "}")
				callers := []credentials{{}}
				if access == generated.AccessAdmin {
					callers = append(callers, o.somebody(user.RoleUser, time.Hour, nil))
				}
				for _, who := range callers {
					before := c.reached.Load()
					assert.NotEmpty(t, c.bySSE(t, who, operation, nil).code(), operation)
					assert.Equal(t, before, c.reached.Load(), "%s is let through", operation)
				}
			})
		})
	})
}

// judge makes one call and compares.
func (o *things) judge(kind string, field *ast.FieldDefinition, access generated.Access, row call, who asker, way string,
	ask func(*castle, *testing.T, credentials, string, func()) reply,
) {
	c, t, owner, mark := o.c, o.t, o.owner, o.mark
	t.Helper()
	operation := o.fill(strings.ToLower(kind) + "{" + row.text + "}")
	if kind == "Query" { // there is always something to be hidden
		o.fill("<container><volume>")
	}
	var provoke func()
	if row.news != "" {
		change := live.Change{Kind: row.news, Owner: owner.ID, Op: live.Updated, ID: map[live.Kind]string{
			live.Container: o.fill("<container>"), live.Image: o.fill("<image>"), live.Audit: o.eventOf("<container>"),
		}[row.news]}
		provoke = func() { c.feed.Publish(change) }
	}
	got := ask(c, t, who.with(o), operation, provoke)
	told := fmt.Sprintf("%s as %s over %s: %s", operation, who.name, way, got.body)
	o.spent = who.spends || kind == "Mutation" && len(got.Data) > 0 && got.Data[field.Name] != nil
	if got.ended {
		assert.True(t, row.ends, "the stream ended without a word: "+told)
		o.spent = true
		return
	}
	if who.as != "owner" && who.as != "admin" {
		assert.NotContains(t, got.body, mark, "what is the owner's shows: "+told)
	}
	if way == "GET" && kind == "Mutation" {
		assert.Equal(t, http.StatusMethodNotAllowed, got.status, told)
		assert.Empty(t, got.Data, told)
		return
	}
	want := row.expected(access, who)
	if access != generated.AccessPublic && who.only != nil && !slices.Contains(who.only, field.Name) || slices.Contains(who.not, field.Name) {
		want = forbidden
	}
	if who.readOnly && kind == "Mutation" && want != "UNAUTHENTICATED" {
		want = forbidden
	}
	switch {
	case want == "any":
	case want == "reached":
		assert.NotContains(t, []string{"UNAUTHENTICATED", forbidden, notFound, "INTERNAL", "GRAPHQL_VALIDATION_FAILED"}, got.code(), told)
	case strings.HasPrefix(want, `"`), strings.HasPrefix(want, "{"):
		assert.Empty(t, got.code(), told)
		assert.Contains(t, strings.ReplaceAll(got.body, " ", ""), want, told)
	default:
		assert.Equal(t, want, got.code(), told)
		assert.NotContains(t, got.body, `"data":{"`+field.Name+`":{`, told)
	}
}

// expected is what who gets by @access and by whose the things are.
func (row call) expected(access generated.Access, who asker) string {
	if access == generated.AccessPublic {
		return "reached"
	}
	if who.as == "visitor" {
		return "UNAUTHENTICATED"
	}
	if access == generated.AccessAdmin && who.as != "admin" {
		return forbidden
	}
	owner := row.owner
	if owner == "" {
		owner = "reached"
	}
	switch {
	case who.as == "admin" && row.admin != "":
		return row.admin
	case who.as == "other" && row.other != "":
		return row.other
	}
	return owner
}

// idArguments finds in a call, for each place of a field's arguments that takes
// an id, whether one of somebody else's is given there.
func idArguments(field *ast.FieldDefinition) []*regexp.Regexp {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	var list []*regexp.Regexp
	var walk func(name string, kind *ast.Type, depth int)
	walk = func(name string, kind *ast.Type, depth int) {
		base := kind
		for base.Elem != nil {
			base = base.Elem
		}
		if base.NamedType == "ID" {
			list = append(list, regexp.MustCompile(`\b`+name+`:\[?"<`))
		}
		if d := schema.Types[base.NamedType]; d != nil && d.Kind == ast.InputObject && depth < 4 {
			for _, f := range d.Fields {
				walk(f.Name, f.Type, depth+1)
			}
		}
	}
	for _, a := range field.Arguments {
		walk(a.Name, a.Type, 0)
	}
	return list
}

// TestDeedsAreNamed holds the words of the trail to the schema.
func TestDeedsAreNamed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	eachRootField(func(kind string, field *ast.FieldDefinition) {
		if kind == "Mutation" {
			seen[field.Name] = true
			assert.Regexp(t, `^[a-z]+\.[a-z-]+$`, deeds[field.Name], "%s has no word in the audit trail", field.Name)
		}
	})
	for name := range deeds {
		assert.True(t, seen[name], "%s is not in the schema any more", name)
	}
}

// TestEdgesShowNobody looks at what others may see, and from there at whom they
// may not.
func TestEdgesShowNobody(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	o := c.things(t)
	owner, ctx := o.owner, o.ctx
	o.mark = "plain" // the image's name is everybody's to see
	o.fill("<image><container>")
	c.client().Image.UpdateOneID(o.ids["image"]).SetVisibility(image.VisibilityPublic).ExecX(theSystem)
	shared := o.volume("shared")
	_, err := c.house.lifecycle.Create(ctx, lifecycle.Wanted{
		Name: owner.Username + "-mounts", ImageID: o.ids["image"], Mounts: []volume.Wanted{{VolumeID: shared, Path: "/shared"}}, RestartPolicy: container.RestartPolicyNever,
	})
	require.NoError(t, err)
	c.client().Volume.UpdateOneID(shared).SetVisibility("PUBLIC").ExecX(theSystem)
	other, _ := c.person(t, "other", user.RoleUser)
	token, _ := c.signIn(other, time.Hour)
	a := c.post(t, token, `{images{totalCount edges{node{id owner{id username}}}} volumes{totalCount edges{node{id name owner{id username} mountedBy{id name}}}} containers{totalCount}}`, nil)
	require.Empty(t, a.code(), a.body)
	require.Contains(t, a.body, `"containers":{"totalCount":0}`)
	require.Contains(t, a.body, o.ids["image"])
	require.Contains(t, a.body, shared)
	require.NotContains(t, a.body, owner.Username)
	require.NotContains(t, a.body, owner.ID)
	require.NotContains(t, a.body, o.ids["container"])
}

// TestRefusalsAreInTheTrail refuses by every transport and reads the trail.
func TestRefusalsAreInTheTrail(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	o := c.things(t)
	owner := o.owner
	target := o.fill("<container>")
	admin := o.somebody(user.RoleAdmin, time.Hour, nil)
	for _, way := range transports {
		if way.name == "GET" {
			continue
		}
		u, _ := c.person(t, "refused", user.RoleUser)
		token, _ := c.signIn(u, time.Hour)
		for _, operation := range []string{
			`mutation{startContainer(id:"` + target + `"){container{id}}}`,
			`mutation{stopContainers(ids:["` + target + `"]){code}}`,
			`mutation{setQuota(userId:"` + owner.ID + `",input:{maxCpu:1}){quota{id}}}`,
			`mutation{createVolume(input:{name:"NO"}){volume{id}}}`, // badly written, and not told
		} {
			way.ask(c, t, credentials{cookie: token}, operation, nil)
		}
		a := c.post(t, admin.cookie, `{auditEvents(where:{actorId:"`+u.ID+`"}){totalCount edges{node{action target outcome detail ip requestId actorName actor{id}}}}}`, nil)
		require.Equal(t, 3, strings.Count(a.body, `"DENIED"`), a.body)
		for _, part := range []string{
			`"action":"container.start","target":"` + target + `","outcome":"DENIED","detail":"NOT_FOUND","ip":"127.0.0.1","requestId":"`,
			`"action":"container.stop","target":"` + target + `","outcome":"DENIED","detail":"NOT_FOUND"`,
			`"action":"quota.set","target":"` + owner.ID + `","outcome":"DENIED","detail":"FORBIDDEN"`,
		} {
			require.Contains(t, a.body, part, way.name)
		}
	}
	count := func() int { return c.client().AuditEvent.Query().CountX(theSystem) }
	before := count()
	c.post(t, "", `mutation{logout}`, nil)
	require.Equal(t, before, count(), "a visitor is told to sign in, which is no deed")
	for range 30 {
		c.post(t, "", `mutation{login(input:{login:"nobody","password":"hunter2 hunter2"}){user{id}}}`, nil)
	}
	text, err := os.ReadFile(c.house.config.DatabasePath())
	require.NoError(t, err)
	require.NotContains(t, string(text), "hunter2")
}

// TestOpenStreamsEnd opens streams of every kind and takes the right away.
func TestOpenStreamsEnd(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	root, _ := c.person(t, "root", user.RoleAdmin)
	rootToken, _ := c.signIn(root, time.Hour)
	do := func(t *testing.T, token, operation string) {
		t.Helper()
		a := c.post(t, token, operation, nil)
		require.Empty(t, a.code(), a.body)
	}
	asRoot := func(operation string) func(*testing.T, *ent.User, string, *ent.Session) {
		return func(t *testing.T, u *ent.User, _ string, _ *ent.Session) {
			do(t, rootToken, strings.ReplaceAll(operation, "<user>", u.ID))
		}
	}
	for name, end := range map[string]func(t *testing.T, u *ent.User, token string, s *ent.Session){
		"suspended by an administrator": asRoot(`mutation{updateUser(id:"<user>",input:{suspended:true}){user{id}}}`),
		"administrator no more":         asRoot(`mutation{updateUser(id:"<user>",input:{role:USER}){user{id}}}`),
		"password reset":                asRoot(`mutation{resetPassword(userId:"<user>"){user{id}}}`),
		"removed by an administrator":   asRoot(`mutation{deleteUser(id:"<user>"){user{id}}}`),
		"password changed elsewhere": func(t *testing.T, u *ent.User, _ string, _ *ent.Session) {
			second, _ := c.signIn(u, time.Hour)
			do(t, second, fmt.Sprintf(`mutation{changePassword(input:{currentPassword:%q,newPassword:"another horse 9 battery"}){user{id}}}`, thePassword))
		},
		"removed by oneself": func(t *testing.T, u *ent.User, _ string, _ *ent.Session) {
			second, _ := c.signIn(u, time.Hour)
			do(t, second, fmt.Sprintf(`mutation{deleteAccount(password:%q){user{id}}}`, thePassword))
		},
		"logout": func(t *testing.T, _ *ent.User, token string, _ *ent.Session) {
			require.Empty(t, c.post(t, token, `mutation{logout}`, nil).code())
		},
		"revoked by another session": func(t *testing.T, u *ent.User, _ string, s *ent.Session) {
			second, _ := c.signIn(u, time.Hour)
			require.Empty(t, c.post(t, second, `mutation{revokeSession(id:"`+s.ID+`")}`, nil).code())
		},
		"suspended": func(_ *testing.T, u *ent.User, _ string, _ *ent.Session) {
			c.client().User.UpdateOneID(u.ID).SetSuspendedAt(time.Now().UTC()).ExecX(theSystem)
		},
		"session removed": func(_ *testing.T, u *ent.User, _ string, _ *ent.Session) {
			c.client().Session.Delete().Where(session.UserID(u.ID)).ExecX(theSystem)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, _ := c.person(t, "stream", user.RoleAdmin)
			token, s := c.signIn(u, time.Hour)
			var streams []<-chan event
			for _, subscription := range []string{forever, `subscription{auditEventAdded{action}}`, `subscription{containerChanged(all:true){id}}`} {
				stream, _ := c.events(t, token, http.MethodPost, subscription)
				streams = append(streams, stream)
			}
			socket := c.socket(t, token, transportWS, true)
			socket.subscribe("1", forever)
			require.Equal(t, "next", socket.read().Type)
			end(t, u, token, s)
			code, _ := socket.closed()
			require.Equal(t, closeSignedOut, code)
			for _, stream := range streams {
				var last string
				for e := range stream {
					if e.data != "" {
						last = e.data
					}
				}
				if last != "" { // the audit trail's may have looked first
					require.Contains(t, last, "UNAUTHENTICATED")
				}
			}
		})
	}
}
