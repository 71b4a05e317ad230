package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Names below the directory. The first three are for users of this program.
const (
	kubeconfigFile     = "kubeconfig"
	describeFile       = "control-plane.json"
	logFile            = "control-plane.log"
	lockFile           = "lock"
	caCert             = "pki/ca.pem"
	caKey              = "pki/ca-key.pem"
	servingCert        = "pki/apiserver.pem"
	servingKey         = "pki/apiserver-key.pem"
	serviceAccountKey  = "pki/service-account-key.pem"
	tokenFile          = "pki/tokens.csv"
	authenticationFile = "authentication.yaml"
	auditPolicyFile    = "audit-policy.yaml"
)

const (
	adminUser = "yardmaster-admin"
	// The controllers act under the names that RBAC's built-in roles are bound
	// to, so they may do what they may do in a real cluster and no more.
	garbageCollectorUser    = "system:serviceaccount:kube-system:generic-garbage-collector"
	namespaceControllerUser = "system:serviceaccount:kube-system:namespace-controller"
)

// Only health may be read without a token: probes have none.
const authentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /healthz
  - path: /livez
  - path: /readyz
`

// Left out is what this program itself causes all the time: the API server's
// own leases, the reads of the two controllers, health checks. What the
// controllers write stays in: it tells who deleted an object. With their
// bodies are writes that a test may want to search; never those of Secrets, nor
// what the test itself writes as the administrator: it may be very much.
// A status is written as a patch of what changed, so the answer is with it:
// only there is the whole object.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver"]
- level: None
  users:
  - "` + garbageCollectorUser + `"
  - "` + namespaceControllerUser + `"
  verbs: [get, list, watch]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]
- level: Metadata
  resources: [{group: "", resources: [secrets, serviceaccounts/token]}]
- level: Metadata
  users: ["` + adminUser + `"]
- level: RequestResponse
  verbs: [update, patch]
  resources: [{group: yardmaster.dev, resources: ["*/status"]}]
  omitManagedFields: true
- level: Request
  verbs: [create, update, patch]
  resources: [{group: "", resources: [configmaps, events]}, {group: events.k8s.io}, {group: yardmaster.dev}]
  omitManagedFields: true
- level: Metadata
`

// files is the directory of one control plane. What exists in it is kept, so
// that a second run continues the first: same data, same tokens, same CA.
type files struct {
	dir      string
	auditLog string
	ca       []byte
	tokens   map[string]string // by user
}

// description is what control-plane.json says.
type description struct {
	Server     string `json:"server"`
	Control    string `json:"control"`
	PID        int    `json:"pid"`
	CAFile     string `json:"caFile"`
	AdminToken string `json:"adminToken"`
}

func prepareFiles(dir, auditLog string) (*files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if auditLog == "" {
		auditLog = filepath.Join(dir, "audit.jsonl")
	}
	if auditLog, err = filepath.Abs(auditLog); err != nil {
		return nil, err
	}
	f := &files{dir: dir, auditLog: auditLog}
	// etcd insists on a directory of its own that nobody else reads; the keys
	// and tokens want the same.
	for _, d := range []string{dir, f.path("pki"), f.path("etcd")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if err := f.lock(); err != nil {
		return nil, err
	}
	if err := f.redirectLog(); err != nil {
		return nil, err
	}
	if err := f.createPKI(); err != nil {
		return nil, err
	}
	if err := f.createTokens(); err != nil {
		return nil, err
	}
	for name, content := range map[string]string{authenticationFile: authentication, auditPolicyFile: auditPolicy} {
		if err := os.WriteFile(f.path(name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *files) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// lock keeps a second control plane out of the directory: its etcd would wait
// for the first one without a word. The lock ends with the process, so the
// file stays open and no stale lock can remain.
func (f *files) lock() error {
	fd, err := unix.Open(f.path(lockFile), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s is in use by another control plane", f.dir)
	}
	return nil
}

// redirectLog sends the process's stderr to the log file: etcd, klog and a
// panic of the runtime all write there.
func (f *files) redirectLog() error {
	log, err := os.OpenFile(f.path(logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	return unix.Dup2(int(log.Fd()), int(os.Stderr.Fd()))
}

// lastPort is the API server's port of an earlier run here, or "".
func (f *files) lastPort() string {
	var last description
	content, err := os.ReadFile(f.path(describeFile))
	if err != nil || json.Unmarshal(content, &last) != nil {
		return ""
	}
	server, err := url.Parse(last.Server)
	if err != nil {
		return ""
	}
	return server.Port()
}

func (f *files) config(server, user string) *rest.Config {
	return &rest.Config{
		Host:            server,
		BearerToken:     f.tokens[user],
		TLSClientConfig: rest.TLSClientConfig{CAData: f.ca},
		UserAgent:       "control-plane",
		// No client-side limit: the API server's priority and fairness is the
		// one that also holds in a real cluster.
		QPS: -1,
	}
}

// publish writes what users of the control plane need to reach it.
func (f *files) publish(server, control string) error {
	const name = "yardmaster"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: f.ca}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: f.tokens[adminUser]}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	content, err := clientcmd.Write(*kubeconfig)
	if err != nil {
		return err
	}
	if err := f.replace(kubeconfigFile, content); err != nil {
		return err
	}
	content, err = json.MarshalIndent(description{
		Server: server, Control: control, PID: os.Getpid(), CAFile: f.path(caCert), AdminToken: f.tokens[adminUser],
	}, "", "  ")
	if err != nil {
		return err
	}
	return f.replace(describeFile, append(content, '\n'))
}

// replace writes a file in one step: somebody may be waiting for it and read
// it the moment it appears, and a kill must leave no half of a key behind.
func (f *files) replace(name string, content []byte) error {
	temporary := f.path(name + ".new")
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, f.path(name))
}

// keep reads a file, or creates it where there is none.
func (f *files) keep(name string, create func() ([]byte, error)) ([]byte, error) {
	content, err := os.ReadFile(f.path(name))
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	if content, err = create(); err != nil {
		return nil, err
	}
	return content, f.replace(name, content)
}

func (f *files) createTokens() error {
	content, err := f.keep(tokenFile, func() ([]byte, error) {
		var buffer bytes.Buffer
		table := csv.NewWriter(&buffer)
		for user, groups := range map[string]string{
			adminUser:               "system:masters",
			garbageCollectorUser:    "system:serviceaccounts,system:serviceaccounts:kube-system",
			namespaceControllerUser: "system:serviceaccounts,system:serviceaccounts:kube-system",
		} {
			secret := make([]byte, 16)
			rand.Read(secret)
			table.Write([]string{hex.EncodeToString(secret), user, user, groups})
		}
		table.Flush()
		return buffer.Bytes(), table.Error()
	})
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", tokenFile, err)
	}
	f.tokens = map[string]string{}
	for _, row := range rows {
		if len(row) != 4 {
			return fmt.Errorf("%s: want four columns", tokenFile)
		}
		f.tokens[row[1]] = row[0]
	}
	return nil
}

// createPKI makes a CA, a serving certificate signed by it, and the key that
// signs service-account tokens.
func (f *files) createPKI() error {
	if _, err := f.key(serviceAccountKey); err != nil {
		return err
	}
	signer, err := f.key(caKey)
	if err != nil {
		return err
	}
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "yardmaster-control-plane"},
		// Clocks of the same machine agree, but a virtual one may be set back.
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	f.ca, err = f.keep(caCert, func() ([]byte, error) { return sign(authority, authority, signer, signer) })
	if err != nil {
		return err
	}
	block, _ := pem.Decode(f.ca)
	if block == nil {
		return fmt.Errorf("%s: not PEM", caCert)
	}
	if authority, err = x509.ParseCertificate(block.Bytes); err != nil {
		return err
	}
	serving, err := f.key(servingKey)
	if err != nil {
		return err
	}
	_, err = f.keep(servingCert, func() ([]byte, error) {
		return sign(&x509.Certificate{
			SerialNumber: big.NewInt(2),
			Subject:      pkix.Name{CommonName: "kube-apiserver"},
			NotBefore:    authority.NotBefore,
			NotAfter:     authority.NotAfter,
			KeyUsage:     x509.KeyUsageDigitalSignature,
			ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			DNSNames:     []string{"localhost", "kubernetes.default.svc"},
			IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		}, authority, serving, signer)
	})
	return err
}

// key reads or makes a P-256 key: RSA keys take a noticeable part of the start.
func (f *files) key(name string) (*ecdsa.PrivateKey, error) {
	content, err := f.keep(name, func() ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalECPrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
	})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s: not PEM", name)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func sign(certificate, issuer *x509.Certificate, key, signer *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, &key.PublicKey, signer)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}
