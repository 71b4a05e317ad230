package main

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

const (
	// discoveryPeriod is how soon the garbage collector sees a new CRD. Real
	// clusters take 30 s, and a test that installs a CRD and deletes an owner
	// right after would wait as long.
	discoveryPeriod = time.Second
	workers         = 10
	syncTimeout     = 30 * time.Second
	resync          = 5 * time.Minute
)

type controllers struct {
	stop   func()
	synced func() bool
}

func startControllers(files *files, server string) (*controllers, error) {
	ctx, cancel := context.WithCancel(context.Background())
	ok := false
	defer func() {
		if !ok {
			cancel()
		}
	}()

	gc, discover, err := newGarbageCollector(ctx, files.config(server, garbageCollectorUser))
	if err != nil {
		return nil, err
	}
	namespaces, informer, err := newNamespaceController(ctx, files.config(server, namespaceControllerUser))
	if err != nil {
		return nil, err
	}

	var running sync.WaitGroup
	running.Go(func() { informer.Start(ctx.Done()) })
	running.Go(func() { namespaces.Run(ctx, workers) })
	running.Go(func() { gc.Run(ctx, workers, syncTimeout) })
	running.Go(func() { gc.Sync(ctx, discover, discoveryPeriod) })

	ok = true
	namespacesSynced := informer.Core().V1().Namespaces().Informer().HasSynced
	return &controllers{
		stop:   func() { cancel(); running.Wait() },
		synced: func() bool { return namespacesSynced() && gc.IsSynced(klog.Background()) },
	}, nil
}

func (c *controllers) waitSynced(ctx context.Context) error {
	for !c.synced() {
		select {
		case <-ctx.Done():
			return errors.New("the garbage collector or the namespace controller did not sync in time")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func newGarbageCollector(ctx context.Context, config *rest.Config) (*garbagecollector.GarbageCollector, discovery.DiscoveryInterface, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	// The mapper empties its discovery cache whenever resources change; the
	// periodic look for changes must not share that cache.
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	// Nothing else here shares informers with it, so it may start them at once.
	started := make(chan struct{})
	close(started)

	gc, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient, mapper,
		garbagecollector.DefaultIgnoredResources(),
		metadataInformers{metadatainformer.NewSharedInformerFactory(metadataClient, 0)}, started)
	return gc, client.Discovery(), err
}

// metadataInformers gives the garbage collector informers that hold only
// metadata. The upstream factory would hold whole objects of built-in kinds,
// because other controllers share them; here there are none.
type metadataInformers struct {
	metadatainformer.SharedInformerFactory
}

func (m metadataInformers) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	return m.SharedInformerFactory.ForResource(resource), nil
}

func newNamespaceController(ctx context.Context, config *rest.Config) (*namespace.NamespaceController, informers.SharedInformerFactory, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	factory := informers.NewSharedInformerFactory(client, resync)
	controller := namespace.NewNamespaceController(ctx, client, metadataClient,
		client.Discovery().ServerPreferredNamespacedResources,
		factory.Core().V1().Namespaces(), resync, corev1.FinalizerKubernetes)
	return controller, factory, nil
}
