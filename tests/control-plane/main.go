// Control-plane runs a Kubernetes control plane for Yardmaster's tests in one
// process: etcd, the kube-apiserver, the garbage collector and the namespace
// controller, all of them the upstream code. README.md says how to use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
)

const (
	// startTimeout is far above the usual two to three seconds: a machine
	// that compiles at the same time is no reason to fail.
	startTimeout = 90 * time.Second
	// stopTimeout bounds a stop. The API server would wait up to a minute for
	// requests in flight, and nobody needs the data of a test world that long.
	stopTimeout = 2500 * time.Millisecond
	// gcPercent trades memory for processor time, of which tests have little:
	// the heap of a fresh API server is small, so Go's default collects it all
	// the time. GOGC in the environment counts instead.
	gcPercent = 400
)

func main() {
	// Everything that runs here may write to stderr, and all of that belongs
	// into the log file; only what a person must read goes to the terminal.
	terminal := os.Stderr
	if fd, err := unix.Dup(int(os.Stderr.Fd())); err == nil {
		unix.CloseOnExec(fd)
		terminal = os.NewFile(uintptr(fd), "terminal")
	}

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	dir := flag.String("dir", "", "directory for everything this control plane writes; created if missing")
	auditLog := flag.String("audit-log", "", "file for the API server's audit log (default DIR/audit.jsonl)")
	flag.Parse()
	if *dir == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	fail := func(err error) {
		fmt.Fprintf(terminal, "control-plane: %v (log: %s)\n", err, filepath.Join(*dir, logFile))
		os.Exit(1)
	}
	if err := run(*dir, *auditLog, fail); err != nil {
		fail(err)
	}
}

// run starts everything, says `ready`, and returns when it was told to stop
// (nil) or when a part failed. Parts that end the process themselves call fail.
func run(dir, auditLog string, fail func(error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	ctx, stop = endWithParent(ctx)
	defer stop()
	// Also when the stop falls into a part's start, which can't be interrupted.
	context.AfterFunc(ctx, func() {
		time.Sleep(stopTimeout)
		os.Exit(0)
	})
	// The API server exits where its start is interrupted, and in this program
	// that is no failure.
	klog.OsExit = func(int) {
		if ctx.Err() == nil {
			fail(errors.New("a part gave up"))
		}
		os.Exit(0)
	}

	// kubectl, Helm and client libraries read this version and refuse or
	// misjudge a server that reports none.
	if v := version.Get(); v.Major == "" || v.Minor == "" {
		return errors.New("built without a version: build it with the -ldflags in README.md")
	}
	files, err := prepareFiles(dir, auditLog)
	if err != nil {
		return err
	}

	var started parts
	err = serve(ctx, files, &started)
	if ctx.Err() != nil {
		err = nil
	}
	started.stop()
	return err
}

// parts are what runs, in the order of its start; each knows how to stop.
type parts []func()

// stop stops the latest part first, and gives up where one hangs.
func (p parts) stop() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, part := range slices.Backward(p) {
			part()
		}
	}()
	select {
	case <-done:
	case <-time.After(stopTimeout):
	}
}

func serve(ctx context.Context, files *files, started *parts) error {
	store, err := startEtcd(files)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	*started = append(*started, store.Close)

	faults := new(faults)
	control, stopControl, err := faults.serve()
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	*started = append(*started, stopControl)

	server, err := startAPIServer(files, store.Clients[0].Addr().String(), faults)
	if err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	*started = append(*started, server.stop)
	if err := files.publish(server.url, control); err != nil {
		return err
	}

	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := waitReady(starting, server, files.config(server.url, adminUser)); err != nil {
		return err
	}
	controllers, err := startControllers(files, server.url)
	if err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	*started = append(*started, controllers.stop)
	if err := controllers.waitSynced(starting); err != nil {
		return err
	}

	fmt.Println("ready")
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.ended:
		return fmt.Errorf("kube-apiserver ended: %w", err)
	}
}

// endWithParent gives a context that ends when the process that started this
// one is gone, however it died, so that no killed test leaves a server behind.
//
// It asks instead of using Linux's parent-death signal: that one fires when
// the starting *thread* ends, and test runners start us from threads that end
// long before the process does.
func endWithParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}

func waitReady(ctx context.Context, server *apiServer, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for {
		err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if err == nil {
			return nil
		}
		select {
		case ended := <-server.ended:
			return fmt.Errorf("kube-apiserver ended: %w", ended)
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready after %s: %w", startTimeout, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
