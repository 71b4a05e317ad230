package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
)

// A fault as it is posted: whose requests, which of them, and what becomes of
// them. Empty is any. The API server has authenticated, authorized and logged a
// request when it meets a fault: what is tried is what the caller may do.
type order struct {
	User        string  `json:"user,omitempty"`
	Verb        string  `json:"verb,omitempty"`
	Resource    string  `json:"resource,omitempty"`
	Subresource *string `json:"subresource,omitempty"`
	Namespace   string  `json:"namespace,omitempty"`
	Name        string  `json:"name,omitempty"`
	Nth         int     `json:"nth"`
	// One in so many of those that are due is struck, by chance; the same
	// requests in the same order are the same ones.
	OneIn  uint64          `json:"one_in,omitempty"`
	Times  *int            `json:"times"`
	Effect json.RawMessage `json:"effect"`
}

// effect is what happens to a request; one of its fields is set.
type effect struct {
	resetBefore, resetAfter bool
	answer                  *metav1.Status
	delay                   time.Duration
	// late answers nobody, and does what was asked so long after.
	late time.Duration
	// watchGap withholds what watches would send until then.
	watchGap time.Duration
}

type fault struct {
	ID string `json:"id"`
	order
	Matched int `json:"matched"`
	Fired   int `json:"fired"`

	effect effect
	posted time.Time
	chance *rand.Rand
}

const knownEffects = `effects are "conflict", {"status": n, "reason": …, "message": …}, "reset_before", "reset_after", {"delay": seconds}, {"late": seconds}, {"watch_gap": seconds}`

func readEffect(raw json.RawMessage) (effect, error) {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		switch name {
		case "conflict":
			return effect{answer: refusal(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified (a fault)")}, nil
		case "reset_before":
			return effect{resetBefore: true}, nil
		case "reset_after":
			return effect{resetAfter: true}, nil
		}
		return effect{}, fmt.Errorf("unknown effect %q; %s", name, knownEffects)
	}
	var wire struct {
		Status   int                 `json:"status"`
		Reason   metav1.StatusReason `json:"reason"`
		Message  string              `json:"message"`
		Delay    float64             `json:"delay"`
		Late     float64             `json:"late"`
		WatchGap float64             `json:"watch_gap"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wire); err != nil {
		return effect{}, fmt.Errorf("effect %s: %w; %s", raw, err, knownEffects)
	}
	switch {
	case wire.Status >= 400 && wire.Status < 600:
		if wire.Message == "" {
			wire.Message = "refused by a fault"
		}
		return effect{answer: refusal(wire.Status, wire.Reason, wire.Message)}, nil
	case wire.Delay > 0:
		return effect{delay: seconds(wire.Delay)}, nil
	case wire.Late > 0:
		return effect{late: seconds(wire.Late)}, nil
	case wire.WatchGap > 0:
		return effect{watchGap: seconds(wire.WatchGap)}, nil
	}
	return effect{}, fmt.Errorf("unknown effect %s; %s", raw, knownEffects)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func refusal(code int, reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure,
		Code:     int32(code),
		Reason:   reason,
		Message:  message,
	}
}

func (f *fault) matches(user string, info *request.RequestInfo) bool {
	is := func(wanted, given string) bool { return wanted == "" || wanted == "*" || wanted == given }
	return info.IsResourceRequest &&
		is(f.User, user) &&
		is(f.Verb, info.Verb) &&
		is(f.Resource, info.Resource) &&
		(f.Subresource == nil || is(*f.Subresource, info.Subresource)) &&
		is(f.Namespace, info.Namespace) &&
		is(f.Name, info.Name)
}

// due says whether the request that was just counted is one of those to strike.
func (f *fault) due() bool {
	meant := f.Matched >= f.Nth && (f.Times == nil || *f.Times <= 0 || f.Matched-f.Nth < *f.Times)
	return meant && (f.OneIn == 0 || f.chance.Uint64N(f.OneIn) == 0)
}

// faults are those posted and not taken away, oldest first.
type faults struct {
	mutex  sync.Mutex
	posted int
	list   []*fault
}

func (f *faults) post(body []byte) (*fault, error) {
	once := 1
	added := fault{order: order{Nth: 1, Times: &once}, posted: time.Now()}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&added.order); err != nil {
		return nil, err
	}
	if added.Effect == nil {
		return nil, errors.New("a fault needs an effect; " + knownEffects)
	}
	var err error
	if added.effect, err = readEffect(added.Effect); err != nil {
		return nil, err
	}
	added.Nth = max(added.Nth, 1)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.posted++
	added.ID = strconv.Itoa(f.posted)
	added.chance = rand.New(rand.NewPCG(uint64(f.posted), added.OneIn))
	f.list = append(f.list, &added)
	return &added, nil
}

// strike counts a request at every fault that it matches, and says what is to
// happen to it: the oldest fault that is due wins.
func (f *faults) strike(user string, info *request.RequestInfo) effect {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var chosen effect
	struck := false
	for _, one := range f.list {
		// A gap strikes what open watches send, not single requests.
		if one.effect.watchGap > 0 || !one.matches(user, info) {
			continue
		}
		one.Matched++
		if !struck && one.due() {
			one.Fired++
			chosen, struck = one.effect, true
		}
	}
	return chosen
}

// gapUntil says until when a watch is to send nothing, and counts that it
// would have.
func (f *faults) gapUntil(user string, info *request.RequestInfo) time.Time {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var until time.Time
	for _, one := range f.list {
		ends := one.posted.Add(one.effect.watchGap)
		if one.effect.watchGap > 0 && time.Now().Before(ends) && one.matches(user, info) {
			one.Matched++
			one.Fired++
			if ends.After(until) {
				until = ends
			}
		}
	}
	return until
}

// wrap puts the faults before the API server's own handlers, and behind its
// authentication and audit log.
func (f *faults) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, known := request.RequestInfoFrom(r.Context())
		user, named := request.UserFrom(r.Context())
		if !known || !named {
			handler.ServeHTTP(w, r)
			return
		}
		if info.Verb == "watch" {
			gapped := &gapped{ResponseWriter: w, until: func() time.Time { return f.gapUntil(user.GetName(), info) }}
			defer gapped.end()
			// Watches go to those alone who can flush and notice a close.
			w = responsewriter.WrapForHTTP1Or2(gapped)
		}
		switch struck := f.strike(user.GetName(), info); {
		case struck.resetBefore:
			panic(http.ErrAbortHandler)
		case struck.resetAfter:
			handler.ServeHTTP(&discarded{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case struck.answer != nil:
			answerJSON(w, int(struck.answer.Code), struck.answer)
		case struck.late > 0:
			// The body goes with the connection.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			late := r.Clone(context.WithoutCancel(r.Context()))
			late.Body = io.NopCloser(bytes.NewReader(body))
			time.AfterFunc(struck.late, func() { handler.ServeHTTP(&discarded{header: http.Header{}}, late) })
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case struck.delay > 0:
			select {
			case <-time.After(struck.delay):
			case <-r.Context().Done():
			}
			handler.ServeHTTP(w, r)
		default:
			handler.ServeHTTP(w, r)
		}
	})
}

func answerJSON(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(answer)
}

// discarded is an answer that nobody gets.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(int)             {}
func (d *discarded) Flush()                      {}

// gapped is the answer to a watch. What falls into a gap is sent when the gap
// ends: to the client the connection is alive and silent.
type gapped struct {
	http.ResponseWriter
	until func() time.Time

	mutex   sync.Mutex
	held    bytes.Buffer
	waiting bool
	ended   bool
}

func (g *gapped) Write(b []byte) (int, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	until := g.until()
	if !g.waiting && until.IsZero() {
		return g.ResponseWriter.Write(b)
	}
	if !g.waiting {
		g.waiting = true
		time.AfterFunc(time.Until(until), g.release)
	}
	// What comes while older events are held comes after them.
	return g.held.Write(b)
}

func (g *gapped) release() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.waiting = false
	if g.ended {
		return
	}
	// A client that is gone ends the watch by itself.
	_, _ = g.ResponseWriter.Write(g.held.Bytes())
	g.held.Reset()
	g.flush()
}

func (g *gapped) Flush() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if !g.waiting {
		g.flush()
	}
}

func (g *gapped) flush() {
	if flusher, ok := g.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

// Unwrap lets the server's own code reach the connection's deadlines.
func (g *gapped) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// end is called when the handler has returned: nothing may be written after it.
func (g *gapped) end() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.ended = true
}

// serve answers the control API on a free loopback port.
func (f *faults) serve() (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		answerJSON(w, http.StatusOK, append([]*fault{}, f.list...))
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			var added *fault
			if added, err = f.post(body.Bytes()); err == nil {
				answerJSON(w, http.StatusOK, added)
				return
			}
		}
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.list = nil
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		before := len(f.list)
		f.list = slices.DeleteFunc(f.list, func(one *fault) bool { return one.ID == r.PathValue("id") })
		if len(f.list) == before {
			answerJSON(w, http.StatusNotFound, map[string]string{"error": "there is no such fault"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}
