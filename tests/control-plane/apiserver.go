package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// issuer is the usual one of a cluster, so that tokens look like real ones.
const issuer = "https://kubernetes.default.svc.cluster.local"

type apiServer struct {
	url   string
	ended <-chan error
	stop  func()
}

// startAPIServer starts the kube-apiserver from the same options, by flag name,
// that a real one gets on its command line.
func startAPIServer(files *files, etcd string, faults *faults) (*apiServer, error) {
	listener, err := listen(files.lastPort())
	if err != nil {
		return nil, err
	}
	opts := options.NewServerRunOptions()
	// A listener that is already open leaves no moment in which another
	// process could take the port.
	opts.SecureServing.Listener = listener

	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range opts.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	err = flags.Parse([]string{
		"--etcd-servers=http://" + etcd,
		// Load tests write fast; old revisions must not pile up for the
		// default of five minutes.
		"--etcd-compaction-interval=1m",

		"--tls-cert-file=" + files.path(servingCert),
		"--tls-private-key-file=" + files.path(servingKey),
		"--advertise-address=127.0.0.1",
		"--service-cluster-ip-range=10.0.0.0/24",
		// A loopback address may not be an endpoint of a Service, and there are
		// no pods that would call it.
		"--endpoint-reconciler-type=none",

		// Otherwise one open watch keeps a stopping server waiting for a minute.
		"--shutdown-watch-termination-grace-period=500ms",

		"--authentication-config=" + files.path(authenticationFile),
		"--token-auth-file=" + files.path(tokenFile),
		"--authorization-mode=RBAC",
		"--service-account-issuer=" + issuer,
		"--api-audiences=" + issuer,
		"--service-account-signing-key-file=" + files.path(serviceAccountKey),
		"--service-account-key-file=" + files.path(serviceAccountKey),

		"--audit-policy-file=" + files.path(auditPolicyFile),
		"--audit-log-path=" + files.auditLog,
		// In megabytes. The default rotates after 100, and a test that counts
		// requests would lose the older ones.
		"--audit-log-maxsize=1000000",
	})
	if err != nil {
		return nil, err
	}
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	// The server's own loopback clients would log warnings about themselves.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	ctx, cancel := context.WithCancel(context.Background())
	completed, err := opts.Complete(ctx)
	if err == nil {
		err = utilerrors.NewAggregate(completed.Validate())
	}
	if err != nil {
		cancel()
		return nil, err
	}
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		err := serveAPI(ctx, completed, faults)
		if err == nil {
			err = errors.New("without an error")
		}
		ended <- err
	}()
	return &apiServer{
		url:   fmt.Sprintf("https://%s", listener.Addr()),
		ended: ended,
		stop:  func() { cancel(); <-done },
	}, nil
}

// serveAPI is app.Run, with the faults before the outermost of the three
// servers that a kube-apiserver consists of.
func serveAPI(ctx context.Context, opts options.CompletedOptions, faults *faults) error {
	config, err := app.NewConfig(opts)
	if err != nil {
		return err
	}
	outermost := config.Aggregator.GenericConfig
	chain := outermost.BuildHandlerChainFunc
	outermost.BuildHandlerChainFunc = func(handler http.Handler, config *server.Config) http.Handler {
		return chain(faults.wrap(handler), config)
	}
	completed, err := config.Complete()
	if err != nil {
		return err
	}
	servers, err := app.CreateServerChain(completed)
	if err != nil {
		return err
	}
	prepared, err := servers.PrepareRun()
	if err != nil {
		return err
	}
	return prepared.Run(ctx)
}

// listen takes the port of an earlier run in the same directory, so that its
// kubeconfig still works, or else a free one.
func listen(lastPort string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: 30 * time.Second}
	if lastPort != "" {
		if listener, err := config.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", lastPort)); err == nil {
			return listener, nil
		}
	}
	return config.Listen(context.Background(), "tcp", "127.0.0.1:0")
}
