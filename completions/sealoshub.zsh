#compdef sealoshub
# Made by `sealoshub completion zsh`; do not edit.

_sealoshub() {
  local where=sealoshub i
  local -a commands options
  for ((i = 2; i < CURRENT; i++)); do
    case "$where ${words[i]}" in
      ("sealoshub login"|"sealoshub logout"|"sealoshub whoami"|"sealoshub push"|"sealoshub pull"|"sealoshub apply"|"sealoshub get"|"sealoshub search"|"sealoshub org"|"sealoshub org create"|"sealoshub org share"|"sealoshub org unshare"|"sealoshub org members"|"sealoshub org delete"|"sealoshub org quota"|"sealoshub repo"|"sealoshub repo public"|"sealoshub repo private"|"sealoshub repo delete"|"sealoshub repo immutable"|"sealoshub repo retention"|"sealoshub token"|"sealoshub token create"|"sealoshub token list"|"sealoshub token revoke"|"sealoshub explain"|"sealoshub doctor"|"sealoshub hub"|"sealoshub hub up"|"sealoshub hub down"|"sealoshub hub status"|"sealoshub hub auth-server"|"sealoshub hub controller"|"sealoshub hub manifests"|"sealoshub hub secrets"|"sealoshub hub migrate"|"sealoshub hub gc"|"sealoshub hub revoke"|"sealoshub hub user"|"sealoshub hub user add"|"sealoshub hub keys"|"sealoshub hub keys list"|"sealoshub hub keys rotate"|"sealoshub hub plugin"|"sealoshub hub plugin ext-auth"|"sealoshub hub plugin ext-authz"|"sealoshub credential-helper"|"sealoshub completion")
        where="$where ${words[i]}" ;;
    esac
  done
  case "$where ${words[CURRENT-1]}" in
    ("sealoshub login --kubeconfig"|"sealoshub login -k")
      _files; return ;;
    ("sealoshub login --context")
      _message value; return ;;
    ("sealoshub login --token")
      _message value; return ;;
    ("sealoshub login --token-file")
      _files; return ;;
    ("sealoshub login --username"|"sealoshub login -u")
      _message value; return ;;
    ("sealoshub login --authfile")
      _files; return ;;
    ("sealoshub login --compat")
      compadd -- all containers docker; return ;;
    ("sealoshub login --store")
      compadd -- file helper keyring; return ;;
    ("sealoshub login --ca-file")
      _files; return ;;
    ("sealoshub login --output"|"sealoshub login -o")
      compadd -- text json; return ;;
    ("sealoshub logout --authfile")
      _files; return ;;
    ("sealoshub logout --ca-file")
      _files; return ;;
    ("sealoshub logout --output"|"sealoshub logout -o")
      compadd -- text json; return ;;
    ("sealoshub whoami --repo")
      _message value; return ;;
    ("sealoshub whoami --authfile")
      _files; return ;;
    ("sealoshub whoami --ca-file")
      _files; return ;;
    ("sealoshub whoami --output"|"sealoshub whoami -o")
      compadd -- text json; return ;;
    ("sealoshub push --tag")
      _message value; return ;;
    ("sealoshub push --cr-option")
      compadd -- auto yes no only; return ;;
    ("sealoshub push --kubeconfig"|"sealoshub push -k")
      _files; return ;;
    ("sealoshub push --context")
      _message value; return ;;
    ("sealoshub push --platform")
      _message value; return ;;
    ("sealoshub push --compression")
      compadd -- gzip zstd none; return ;;
    ("sealoshub push --jobs")
      _message value; return ;;
    ("sealoshub push --limit-rate")
      _message value; return ;;
    ("sealoshub push --chunk-size")
      _message value; return ;;
    ("sealoshub push --retry-budget")
      _message value; return ;;
    ("sealoshub push --digestfile")
      _files; return ;;
    ("sealoshub push --authfile")
      _files; return ;;
    ("sealoshub push --ca-file")
      _files; return ;;
    ("sealoshub push --output"|"sealoshub push -o")
      compadd -- text json ndjson; return ;;
    ("sealoshub pull --format")
      compadd -- oci oci-archive docker-archive; return ;;
    ("sealoshub pull --platform")
      _message value; return ;;
    ("sealoshub pull --jobs")
      _message value; return ;;
    ("sealoshub pull --limit-rate")
      _message value; return ;;
    ("sealoshub pull --retry-budget")
      _message value; return ;;
    ("sealoshub pull --digestfile")
      _files; return ;;
    ("sealoshub pull --authfile")
      _files; return ;;
    ("sealoshub pull --ca-file")
      _files; return ;;
    ("sealoshub pull --output"|"sealoshub pull -o")
      compadd -- text json ndjson; return ;;
    ("sealoshub apply --filename"|"sealoshub apply -f")
      _files; return ;;
    ("sealoshub apply --dry-run")
      compadd -- client server; return ;;
    ("sealoshub apply --wait")
      _message value; return ;;
    ("sealoshub apply --kubeconfig"|"sealoshub apply -k")
      _files; return ;;
    ("sealoshub apply --context")
      _message value; return ;;
    ("sealoshub apply --output"|"sealoshub apply -o")
      compadd -- text json; return ;;
    ("sealoshub get --kubeconfig"|"sealoshub get -k")
      _files; return ;;
    ("sealoshub get --context")
      _message value; return ;;
    ("sealoshub get --output"|"sealoshub get -o")
      compadd -- text wide json yaml; return ;;
    ("sealoshub search --kubeconfig"|"sealoshub search -k")
      _files; return ;;
    ("sealoshub search --context")
      _message value; return ;;
    ("sealoshub search --output"|"sealoshub search -o")
      compadd -- text json; return ;;
    ("sealoshub org create --display-name")
      _message value; return ;;
    ("sealoshub org create --wait")
      _message value; return ;;
    ("sealoshub org create --kubeconfig"|"sealoshub org create -k")
      _files; return ;;
    ("sealoshub org create --context")
      _message value; return ;;
    ("sealoshub org create --output"|"sealoshub org create -o")
      compadd -- text json; return ;;
    ("sealoshub org share --user")
      _message value; return ;;
    ("sealoshub org share --group")
      _message value; return ;;
    ("sealoshub org share --service-account")
      _message value; return ;;
    ("sealoshub org share --role")
      compadd -- viewer developer maintainer owner; return ;;
    ("sealoshub org share --kubeconfig"|"sealoshub org share -k")
      _files; return ;;
    ("sealoshub org share --context")
      _message value; return ;;
    ("sealoshub org share --output"|"sealoshub org share -o")
      compadd -- text json; return ;;
    ("sealoshub org unshare --user")
      _message value; return ;;
    ("sealoshub org unshare --group")
      _message value; return ;;
    ("sealoshub org unshare --service-account")
      _message value; return ;;
    ("sealoshub org unshare --kubeconfig"|"sealoshub org unshare -k")
      _files; return ;;
    ("sealoshub org unshare --context")
      _message value; return ;;
    ("sealoshub org unshare --output"|"sealoshub org unshare -o")
      compadd -- text json; return ;;
    ("sealoshub org members --kubeconfig"|"sealoshub org members -k")
      _files; return ;;
    ("sealoshub org members --context")
      _message value; return ;;
    ("sealoshub org members --output"|"sealoshub org members -o")
      compadd -- text json; return ;;
    ("sealoshub org delete --wait")
      _message value; return ;;
    ("sealoshub org delete --kubeconfig"|"sealoshub org delete -k")
      _files; return ;;
    ("sealoshub org delete --context")
      _message value; return ;;
    ("sealoshub org delete --output"|"sealoshub org delete -o")
      compadd -- text json; return ;;
    ("sealoshub org quota --repositories")
      _message value; return ;;
    ("sealoshub org quota --tags")
      _message value; return ;;
    ("sealoshub org quota --size")
      _message value; return ;;
    ("sealoshub org quota --kubeconfig"|"sealoshub org quota -k")
      _files; return ;;
    ("sealoshub org quota --context")
      _message value; return ;;
    ("sealoshub org quota --output"|"sealoshub org quota -o")
      compadd -- text json; return ;;
    ("sealoshub repo public --kubeconfig"|"sealoshub repo public -k")
      _files; return ;;
    ("sealoshub repo public --context")
      _message value; return ;;
    ("sealoshub repo public --output"|"sealoshub repo public -o")
      compadd -- text json; return ;;
    ("sealoshub repo private --kubeconfig"|"sealoshub repo private -k")
      _files; return ;;
    ("sealoshub repo private --context")
      _message value; return ;;
    ("sealoshub repo private --output"|"sealoshub repo private -o")
      compadd -- text json; return ;;
    ("sealoshub repo delete --authfile")
      _files; return ;;
    ("sealoshub repo delete --ca-file")
      _files; return ;;
    ("sealoshub repo delete --kubeconfig"|"sealoshub repo delete -k")
      _files; return ;;
    ("sealoshub repo delete --context")
      _message value; return ;;
    ("sealoshub repo delete --output"|"sealoshub repo delete -o")
      compadd -- text json; return ;;
    ("sealoshub repo immutable --kubeconfig"|"sealoshub repo immutable -k")
      _files; return ;;
    ("sealoshub repo immutable --context")
      _message value; return ;;
    ("sealoshub repo immutable --output"|"sealoshub repo immutable -o")
      compadd -- text json; return ;;
    ("sealoshub repo retention --keep-last")
      _message value; return ;;
    ("sealoshub repo retention --older-than")
      _message value; return ;;
    ("sealoshub repo retention --keep-tag")
      _message value; return ;;
    ("sealoshub repo retention --kubeconfig"|"sealoshub repo retention -k")
      _files; return ;;
    ("sealoshub repo retention --context")
      _message value; return ;;
    ("sealoshub repo retention --output"|"sealoshub repo retention -o")
      compadd -- text json; return ;;
    ("sealoshub token create --name"|"sealoshub token create -n")
      _message value; return ;;
    ("sealoshub token create --ttl")
      _message value; return ;;
    ("sealoshub token create --scope")
      _message value; return ;;
    ("sealoshub token create --authfile")
      _files; return ;;
    ("sealoshub token create --ca-file")
      _files; return ;;
    ("sealoshub token create --output"|"sealoshub token create -o")
      compadd -- text json; return ;;
    ("sealoshub token list --authfile")
      _files; return ;;
    ("sealoshub token list --ca-file")
      _files; return ;;
    ("sealoshub token list --output"|"sealoshub token list -o")
      compadd -- text json; return ;;
    ("sealoshub token revoke --authfile")
      _files; return ;;
    ("sealoshub token revoke --ca-file")
      _files; return ;;
    ("sealoshub token revoke --output"|"sealoshub token revoke -o")
      compadd -- text json; return ;;
    ("sealoshub explain --as")
      _message value; return ;;
    ("sealoshub explain --as-group")
      _message value; return ;;
    ("sealoshub explain --authfile")
      _files; return ;;
    ("sealoshub explain --ca-file")
      _files; return ;;
    ("sealoshub explain --output"|"sealoshub explain -o")
      compadd -- text json; return ;;
    ("sealoshub doctor --kubeconfig"|"sealoshub doctor -k")
      _files; return ;;
    ("sealoshub doctor --context")
      _message value; return ;;
    ("sealoshub doctor --authfile")
      _files; return ;;
    ("sealoshub doctor --ca-file")
      _files; return ;;
    ("sealoshub doctor --output"|"sealoshub doctor -o")
      compadd -- text json; return ;;
    ("sealoshub hub up --data")
      _files; return ;;
    ("sealoshub hub up --kubeconfig")
      _files; return ;;
    ("sealoshub hub up --context")
      _message value; return ;;
    ("sealoshub hub up --user")
      _message value; return ;;
    ("sealoshub hub up --registry-binary")
      _files; return ;;
    ("sealoshub hub up --listen")
      _message value; return ;;
    ("sealoshub hub up --hostname")
      _message value; return ;;
    ("sealoshub hub up --registry-port")
      _message value; return ;;
    ("sealoshub hub up --auth-port")
      _message value; return ;;
    ("sealoshub hub up --api-port")
      _message value; return ;;
    ("sealoshub hub up --cert")
      _files; return ;;
    ("sealoshub hub up --key")
      _files; return ;;
    ("sealoshub hub up --output"|"sealoshub hub up -o")
      compadd -- text json; return ;;
    ("sealoshub hub down --data")
      _files; return ;;
    ("sealoshub hub down --output"|"sealoshub hub down -o")
      compadd -- text json; return ;;
    ("sealoshub hub status --data")
      _files; return ;;
    ("sealoshub hub status --output"|"sealoshub hub status -o")
      compadd -- text json; return ;;
    ("sealoshub hub auth-server --config")
      _files; return ;;
    ("sealoshub hub auth-server --workers")
      _message value; return ;;
    ("sealoshub hub controller --kubeconfig")
      _files; return ;;
    ("sealoshub hub controller --health-port")
      _message value; return ;;
    ("sealoshub hub controller --health-host")
      _message value; return ;;
    ("sealoshub hub controller --registry")
      _message value; return ;;
    ("sealoshub hub controller --registry-token")
      _files; return ;;
    ("sealoshub hub controller --registry-ca")
      _files; return ;;
    ("sealoshub hub controller --sweep-rate")
      _message value; return ;;
    ("sealoshub hub manifests --overlay")
      _message value; return ;;
    ("sealoshub hub manifests --host")
      _message value; return ;;
    ("sealoshub hub manifests --image")
      _message value; return ;;
    ("sealoshub hub secrets --keys")
      _files; return ;;
    ("sealoshub hub migrate --kubeconfig"|"sealoshub hub migrate -k")
      _files; return ;;
    ("sealoshub hub migrate --context")
      _message value; return ;;
    ("sealoshub hub gc --idle")
      _message value; return ;;
    ("sealoshub hub gc --data")
      _files; return ;;
    ("sealoshub hub gc --output"|"sealoshub hub gc -o")
      compadd -- text json; return ;;
    ("sealoshub hub revoke --user")
      _message value; return ;;
    ("sealoshub hub revoke --organization")
      _message value; return ;;
    ("sealoshub hub revoke --login")
      _message value; return ;;
    ("sealoshub hub revoke --kubeconfig"|"sealoshub hub revoke -k")
      _files; return ;;
    ("sealoshub hub revoke --context")
      _message value; return ;;
    ("sealoshub hub revoke --output"|"sealoshub hub revoke -o")
      compadd -- text json; return ;;
    ("sealoshub hub user add --group")
      _message value; return ;;
    ("sealoshub hub user add --days")
      _message value; return ;;
    ("sealoshub hub user add --out")
      _files; return ;;
    ("sealoshub hub user add --data")
      _files; return ;;
    ("sealoshub hub user add --output"|"sealoshub hub user add -o")
      compadd -- text json; return ;;
    ("sealoshub hub keys list --data")
      _files; return ;;
    ("sealoshub hub keys list --output"|"sealoshub hub keys list -o")
      compadd -- text json; return ;;
    ("sealoshub hub keys rotate --data")
      _files; return ;;
    ("sealoshub hub keys rotate --output"|"sealoshub hub keys rotate -o")
      compadd -- text json; return ;;
    ("sealoshub hub plugin ext-auth --config")
      _files; return ;;
    ("sealoshub hub plugin ext-auth --api-server")
      _message value; return ;;
    ("sealoshub hub plugin ext-auth --ca-file")
      _files; return ;;
    ("sealoshub hub plugin ext-auth --token-file")
      _files; return ;;
    ("sealoshub hub plugin ext-auth --service")
      _message value; return ;;
    ("sealoshub hub plugin ext-authz --config")
      _files; return ;;
    ("sealoshub hub plugin ext-authz --api-server")
      _message value; return ;;
    ("sealoshub hub plugin ext-authz --ca-file")
      _files; return ;;
    ("sealoshub hub plugin ext-authz --token-file")
      _files; return ;;
    ("sealoshub hub plugin ext-authz --service")
      _message value; return ;;
  esac
  case "$where" in
    ("sealoshub")
      commands=('login:Log in to a hub; afterwards docker, podman, skopeo, crane, oras ...' 'logout:Log out: erase the credential wherever it was stored, and revoke it at the hub.' 'whoami:Show as whom you are logged in, until when, and where the credential lies.' 'push:Push an image and describe it: its Image resource is applied with your kubeconfig.' 'pull:Pull an image into an OCI layout, an OCI archive or a docker archive.' 'apply:Apply organizations, repositories, images and data packs.' 'get:Show organizations, repositories, images or data packs.' 'search:Find images by name, keywords and description.' 'org:Make organizations and share them.' 'repo:Make repositories public or private, rule their tags, or delete them.' 'token:Personal tokens, and the logins that you have.' 'explain:Say whether you may pull, push or delete, and which rule says so; else whom to ask.' 'doctor:Look at every step between this machine and a hub, and say how to repair what fails.' 'hub:Run a hub on this machine, or the server side of one in a cluster.' 'credential-helper:Speak the docker credential helper protocol: a server'\''s address in, its credential out.' 'completion:Print a completion script for bash, zsh or fish.')
      options=('--version:Show the version.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub login")
      commands=()
      options=('--kubeconfig:Log in with a kubeconfig. Bare: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Log in with a kubeconfig. Bare: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--token:A token. Better: --token-file.' '--token-file:A file with a token.' '--token-stdin:Read a token from standard input.' '--username:The account'\''s name.' '-u:The account'\''s name.' '--password-stdin:Read the password from standard input.' '--authfile:The one credential file to use.' '--compat:Whose credential files are written.' '--persist:Write the auth.json that survives a reboot.' '--store:What keeps the secret: the credential file, a file behind our own credential helper, or the system keyring. Default: as before, or else the credential file.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--no-exchange:Keep the credential itself, not a short one for it.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub logout")
      commands=()
      options=('--all:Every hub that `sealoshub login` logged in to.' '--keep-server-session:Forget the login here only.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub whoami")
      commands=()
      options=('--repo:Show what you may do there.' '--offline:Ask nobody; say what is stored here.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub push")
      commands=()
      options=('--tag:A further tag; repeatable.' '--cr-option:Apply the Image resource: auto if the cluster has the kind, yes, no, or only it.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--platform:Only the image for os/arch[/variant].' '--all-platforms:The images for all platforms. The default.' '--compression:Of layers that are not compressed. Default: gzip, but OCI layouts stay as they are.' '--jobs:Blobs under way at once.' '--limit-rate:Bytes per second, for example 5M.' '--chunk-size:Bytes in one request, for example 50M. Default: a whole blob, or what a proxy was seen to take.' '--retry-budget:How long a step is tried again. Default: 10m.' '--digestfile:Write the digest here.' '--dry-run:Say what would be sent, and send nothing.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How progress and result are printed.' '-o:How progress and result are printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      [[ $PREFIX == -* ]] || _files ;;
    ("sealoshub pull")
      commands=()
      options=('--format:What to write, instead of guessing.' '--platform:Only the image for os/arch[/variant].' '--all-platforms:The images for all platforms; the default of OCI layouts and archives.' '--jobs:Blobs under way at once.' '--limit-rate:Bytes per second, for example 5M.' '--retry-budget:How long a step is tried again. Default: 10m.' '--digestfile:Write the digest here.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How progress and result are printed.' '-o:How progress and result are printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub apply")
      commands=()
      options=('--filename:The same, as kubectl writes it.' '-f:The same, as kubectl writes it.' '--dry-run:Only check: here (client), or on the server too.' '--wait:Wait so long (30s, 5m) until all is ready.' '--force-conflicts:Take over fields that others own.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      [[ $PREFIX == -* ]] || _files ;;
    ("sealoshub get")
      commands=('orgs' 'repos' 'images' 'datapacks')
      options=('--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub search")
      commands=()
      options=('--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org")
      commands=('create:Make an organization; you become its owner.' 'share:Give a user, a group or a ServiceAccount a role in an organization.' 'unshare:Take the role of a user, a group or a ServiceAccount in an organization away.' 'members:Show who has which role in an organization, and where that is written.' 'delete:Delete an organization, and with it every right in it.' 'quota:Show what an organization holds and may hold; an administrator of the hub can change that.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org create")
      commands=()
      options=('--public:Repositories that a push makes are public.' '--private:They are private. The default.' '--display-name:Name for people.' '--wait:Wait so long (30s, 5m) until done.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org share")
      commands=()
      options=('--user:A user.' '--group:A group.' '--service-account:A ServiceAccount.' '--role:viewer pulls, developer also pushes, maintainer also deletes, owner also shares.' '--force:Even if no owner is left by that.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org unshare")
      commands=()
      options=('--user:A user.' '--group:A group.' '--service-account:A ServiceAccount.' '--force:Even if no owner is left by that.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org members")
      commands=()
      options=('--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org delete")
      commands=()
      options=('--with-repositories:Delete its repositories and images as well.' '--wait:Wait so long (30s, 5m) until done.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub org quota")
      commands=()
      options=('--repositories:At most so many repositories; or none.' '--tags:At most so many tags in all; or none.' '--size:At most so much, such as 10Gi; or none.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub repo")
      commands=('public:Let everybody pull a repository, without a login.' 'private:Let only members pull a repository.' 'delete:Delete a repository and its images from the catalogue, and with --content from the registry.' 'immutable:Show or set which tags of a repository never name another image.' 'retention:Show or set which tags of a repository are deleted by themselves, and list those due now.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub repo public")
      commands=()
      options=('--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub repo private")
      commands=()
      options=('--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub repo delete")
      commands=()
      options=('--content:Delete what is in the registry too; write the repository with its host.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub repo immutable")
      commands=()
      options=('--none:Take the rule away.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub repo retention")
      commands=()
      options=('--keep-last:So many of the newest tags stay.' '--older-than:Only older tags go: 720h, 30d.' '--keep-tag:These stay and do not count; repeatable.' '--none:Take the rule away.' '--dry-run:Show what would be deleted, and change nothing.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub token")
      commands=('create:Make a token for a script or a cluster, and print it: it is shown this once.' 'list:List your personal tokens and logins; `this` is the one that asks.' 'revoke:End a token or a login.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub token create")
      commands=()
      options=('--name:What you call it in the list.' '-n:What you call it in the list.' '--ttl:How long it lives: 12h, 30d, 2w.' '--scope:What it may at most, such as repository:org/repo:pull; repeatable.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub token list")
      commands=()
      options=('--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub token revoke")
      commands=()
      options=('--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub explain")
      commands=('pull' 'push' 'delete')
      options=('--as:Ask for somebody else; for owners only.' '--as-group:A group of that user; repeatable.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub doctor")
      commands=()
      options=('--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--authfile:The one credential file to use.' '--plain-http:Speak HTTP; needed only if the host is not this machine.' '--ca-file:Trust this authority too (PEM).' '--insecure-skip-tls-verify:Do not verify the registry'\''s certificate.' '--trust-realm:Log in at whatever token server the registry names.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub")
      commands=('up:Start a hub: the stock registry, the token server, the controller and an API.' 'down:Stop the hub.' 'status:Show what runs.' 'auth-server:Run the token server until SIGTERM.' 'controller:Run the controller until SIGTERM.' 'manifests:Print the resources, roles and admission policies of a hub, for kubectl.' 'secrets:Print new Secrets for a hub in a cluster: signing keys, what the registry trusts, passwords.' 'migrate:Find what in a cluster of the original ImageHub (v4.3.0) needs repair, and print the repair.' 'gc:Free the space of deleted images in the registry of this machine.' 'revoke:End logins and personal tokens of others, as an administrator of the hub.' 'user:Users of this hub.' 'keys:Keys that sign tokens.' 'plugin:Kubernetes identities and rights for an existing docker_auth.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub up")
      commands=()
      options=('--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--foreground:Stay attached until Ctrl-C, as services want it.' '--kubeconfig:Use this cluster instead of the embedded API.' '--context:Context of that kubeconfig.' '--user:First user of the embedded API.' '--registry-binary:The registry program to run.' '--listen:Address to bind. Default: localhost.' '--hostname:Name of the hub when not on localhost.' '--registry-port:Default: 5000; 0 takes a free one.' '--auth-port:Of the token server. Default: 5001.' '--api-port:Of the embedded API. Default: 5002.' '--cert:TLS certificate (PEM) of the hub.' '--key:Its key (PEM).' '--private-names:Whether only administrators list what there is. Default: as it was; public.' '--public-names:Whether only administrators list what there is. Default: as it was; public.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub down")
      commands=()
      options=('--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub status")
      commands=()
      options=('--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub auth-server")
      commands=()
      options=('--config:Configuration (YAML).' '--workers:Processes. Default: what FILE says, or 1.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub controller")
      commands=()
      options=('--kubeconfig:Default: the ServiceAccount of the pod.' '--health-port:Serve /healthz, /readyz and /metrics here.' '--health-host:Address of --health-port.' '--leader-election:Let one of several replicas work at a time.' '--no-leader-election:Let one of several replicas work at a time.' '--registry:The registry whose content the Images follow.' '--registry-token:Default: the token of the pod'\''s ServiceAccount.' '--registry-ca:PEM file of the registry'\''s authority.' '--registry-plain-http:Speak HTTP to the registry.' '--sweep-rate:Requests a second to a registry that is swept. 0: no limit.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub manifests")
      commands=()
      options=('--overlay:A whole hub, with the registry'\''s content on a volume or in S3.' '--host:Host name of the hub. With --overlay.' '--image:Image of sealoshub. With --overlay.' '--monitor:With a Prometheus ServiceMonitor. With --overlay.' '--private-names:Let nobody but administrators list what there is.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub secrets")
      commands=()
      options=('--keys:Signing keys of an earlier hub; default: new ones.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub migrate")
      commands=()
      options=('--dry-run:Look and print; there is nothing else it can do.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub gc")
      commands=()
      options=('--dry-run:Only say what would be deleted.' '--untagged:Delete images too that no tag leads to any more.' '--idle:Refuse if somebody uploaded something in the last so long.' '--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub revoke")
      commands=()
      options=('--user:All of this user; the full name.' '--organization:All of its robots, and tokens good for it alone.' '--login:One, by its id.' '--dry-run:Only show which logins are meant.' '--kubeconfig:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '-k:Kubeconfig of the cluster. Default: $KUBECONFIG, ~/.kube/config, or the pod'\''s own.' '--context:Context to use instead of the current one.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub user")
      commands=('add:Make a user and print the path of a kubeconfig for him.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub user add")
      commands=()
      options=('--group:A group; may be repeated.' '--token:A ServiceAccount with a token, not a client certificate.' '--days:Life of the credential.' '--out:Kubeconfig to write.' '--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub keys")
      commands=('list:List the keys, and whether the registry knows them.' 'rotate:Let the next key sign.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub keys list")
      commands=()
      options=('--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub keys rotate")
      commands=()
      options=('--data:The hub'\''s folder. Default: $XDG_DATA_HOME/sealoshub/hub.' '--output:How the result is printed.' '-o:How the result is printed.' '--quiet:No notes and no progress, only the result.' '-q:No notes and no progress, only the result.' '--verbose:More about what happens.' '-v:More about what happens.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub plugin")
      commands=('ext-auth:Tell docker_auth whether a Kubernetes credential is good: its `ext_auth` command.' 'ext-authz:Tell docker_auth whether somebody may do what he asks for: its `ext_authz` command.')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub plugin ext-auth")
      commands=()
      options=('--config:Configuration of a token server: api, plugins, service.' '--api-server:The Kubernetes API server. Default: that of the pod.' '--ca-file:Its CA (PEM).' '--token-file:Token of a ServiceAccount with the role imagehub:auth-server.' '--service:Audience of tokens made for the registry.' '--any-account:Do not ask for the full user name. Only together with ext-authz.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub hub plugin ext-authz")
      commands=()
      options=('--config:Configuration of a token server: api, plugins, service.' '--api-server:The Kubernetes API server. Default: that of the pod.' '--ca-file:Its CA (PEM).' '--token-file:Token of a ServiceAccount with the role imagehub:auth-server.' '--service:Audience of tokens made for the registry.' '--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub credential-helper")
      commands=('get' 'store' 'erase' 'list')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
    ("sealoshub completion")
      commands=('bash' 'zsh' 'fish')
      options=('--help:Show this message and exit.' '-h:Show this message and exit.')
      : ;;
  esac
  (( $#commands )) && _describe command commands
  [[ $PREFIX == -* ]] && _describe -o option options
  return 0
}
if [[ "$funcstack[1]" == _sealoshub ]]; then _sealoshub "$@"
else compdef _sealoshub sealoshub; fi
