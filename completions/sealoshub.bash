# Made by `sealoshub completion bash`; do not edit.

_sealoshub() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local where=sealoshub words files= i
    if [[ $cur == = ]]; then cur=
    elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$where ${COMP_WORDS[i]}" in
            "sealoshub login"|"sealoshub logout"|"sealoshub whoami"|"sealoshub push"|"sealoshub pull"|"sealoshub apply"|"sealoshub get"|"sealoshub search"|"sealoshub org"|"sealoshub org create"|"sealoshub org share"|"sealoshub org unshare"|"sealoshub org members"|"sealoshub org delete"|"sealoshub org quota"|"sealoshub repo"|"sealoshub repo public"|"sealoshub repo private"|"sealoshub repo delete"|"sealoshub repo immutable"|"sealoshub repo retention"|"sealoshub token"|"sealoshub token create"|"sealoshub token list"|"sealoshub token revoke"|"sealoshub explain"|"sealoshub doctor"|"sealoshub hub"|"sealoshub hub up"|"sealoshub hub down"|"sealoshub hub status"|"sealoshub hub auth-server"|"sealoshub hub controller"|"sealoshub hub manifests"|"sealoshub hub secrets"|"sealoshub hub migrate"|"sealoshub hub gc"|"sealoshub hub revoke"|"sealoshub hub user"|"sealoshub hub user add"|"sealoshub hub keys"|"sealoshub hub keys list"|"sealoshub hub keys rotate"|"sealoshub hub plugin"|"sealoshub hub plugin ext-auth"|"sealoshub hub plugin ext-authz"|"sealoshub credential-helper"|"sealoshub completion")
                where="$where ${COMP_WORDS[i]}" ;;
        esac
    done
    case "$where $prev" in
        "sealoshub login --kubeconfig"|"sealoshub login -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub login --context")
            COMPREPLY=(); return ;;
        "sealoshub login --token")
            COMPREPLY=(); return ;;
        "sealoshub login --token-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub login --username"|"sealoshub login -u")
            COMPREPLY=(); return ;;
        "sealoshub login --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub login --compat")
            COMPREPLY=($(compgen -W "all containers docker" -- "$cur")); return ;;
        "sealoshub login --store")
            COMPREPLY=($(compgen -W "file helper keyring" -- "$cur")); return ;;
        "sealoshub login --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub login --output"|"sealoshub login -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub logout --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub logout --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub logout --output"|"sealoshub logout -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub whoami --repo")
            COMPREPLY=(); return ;;
        "sealoshub whoami --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub whoami --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub whoami --output"|"sealoshub whoami -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub push --tag")
            COMPREPLY=(); return ;;
        "sealoshub push --cr-option")
            COMPREPLY=($(compgen -W "auto yes no only" -- "$cur")); return ;;
        "sealoshub push --kubeconfig"|"sealoshub push -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub push --context")
            COMPREPLY=(); return ;;
        "sealoshub push --platform")
            COMPREPLY=(); return ;;
        "sealoshub push --compression")
            COMPREPLY=($(compgen -W "gzip zstd none" -- "$cur")); return ;;
        "sealoshub push --jobs")
            COMPREPLY=(); return ;;
        "sealoshub push --limit-rate")
            COMPREPLY=(); return ;;
        "sealoshub push --chunk-size")
            COMPREPLY=(); return ;;
        "sealoshub push --retry-budget")
            COMPREPLY=(); return ;;
        "sealoshub push --digestfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub push --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub push --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub push --output"|"sealoshub push -o")
            COMPREPLY=($(compgen -W "text json ndjson" -- "$cur")); return ;;
        "sealoshub pull --format")
            COMPREPLY=($(compgen -W "oci oci-archive docker-archive" -- "$cur")); return ;;
        "sealoshub pull --platform")
            COMPREPLY=(); return ;;
        "sealoshub pull --jobs")
            COMPREPLY=(); return ;;
        "sealoshub pull --limit-rate")
            COMPREPLY=(); return ;;
        "sealoshub pull --retry-budget")
            COMPREPLY=(); return ;;
        "sealoshub pull --digestfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub pull --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub pull --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub pull --output"|"sealoshub pull -o")
            COMPREPLY=($(compgen -W "text json ndjson" -- "$cur")); return ;;
        "sealoshub apply --filename"|"sealoshub apply -f")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub apply --dry-run")
            COMPREPLY=($(compgen -W "client server" -- "$cur")); return ;;
        "sealoshub apply --wait")
            COMPREPLY=(); return ;;
        "sealoshub apply --kubeconfig"|"sealoshub apply -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub apply --context")
            COMPREPLY=(); return ;;
        "sealoshub apply --output"|"sealoshub apply -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub get --kubeconfig"|"sealoshub get -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub get --context")
            COMPREPLY=(); return ;;
        "sealoshub get --output"|"sealoshub get -o")
            COMPREPLY=($(compgen -W "text wide json yaml" -- "$cur")); return ;;
        "sealoshub search --kubeconfig"|"sealoshub search -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub search --context")
            COMPREPLY=(); return ;;
        "sealoshub search --output"|"sealoshub search -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub org create --display-name")
            COMPREPLY=(); return ;;
        "sealoshub org create --wait")
            COMPREPLY=(); return ;;
        "sealoshub org create --kubeconfig"|"sealoshub org create -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub org create --context")
            COMPREPLY=(); return ;;
        "sealoshub org create --output"|"sealoshub org create -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub org share --user")
            COMPREPLY=(); return ;;
        "sealoshub org share --group")
            COMPREPLY=(); return ;;
        "sealoshub org share --service-account")
            COMPREPLY=(); return ;;
        "sealoshub org share --role")
            COMPREPLY=($(compgen -W "viewer developer maintainer owner" -- "$cur")); return ;;
        "sealoshub org share --kubeconfig"|"sealoshub org share -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub org share --context")
            COMPREPLY=(); return ;;
        "sealoshub org share --output"|"sealoshub org share -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub org unshare --user")
            COMPREPLY=(); return ;;
        "sealoshub org unshare --group")
            COMPREPLY=(); return ;;
        "sealoshub org unshare --service-account")
            COMPREPLY=(); return ;;
        "sealoshub org unshare --kubeconfig"|"sealoshub org unshare -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub org unshare --context")
            COMPREPLY=(); return ;;
        "sealoshub org unshare --output"|"sealoshub org unshare -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub org members --kubeconfig"|"sealoshub org members -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub org members --context")
            COMPREPLY=(); return ;;
        "sealoshub org members --output"|"sealoshub org members -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub org delete --wait")
            COMPREPLY=(); return ;;
        "sealoshub org delete --kubeconfig"|"sealoshub org delete -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub org delete --context")
            COMPREPLY=(); return ;;
        "sealoshub org delete --output"|"sealoshub org delete -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub org quota --repositories")
            COMPREPLY=(); return ;;
        "sealoshub org quota --tags")
            COMPREPLY=(); return ;;
        "sealoshub org quota --size")
            COMPREPLY=(); return ;;
        "sealoshub org quota --kubeconfig"|"sealoshub org quota -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub org quota --context")
            COMPREPLY=(); return ;;
        "sealoshub org quota --output"|"sealoshub org quota -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub repo public --kubeconfig"|"sealoshub repo public -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo public --context")
            COMPREPLY=(); return ;;
        "sealoshub repo public --output"|"sealoshub repo public -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub repo private --kubeconfig"|"sealoshub repo private -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo private --context")
            COMPREPLY=(); return ;;
        "sealoshub repo private --output"|"sealoshub repo private -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub repo delete --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo delete --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo delete --kubeconfig"|"sealoshub repo delete -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo delete --context")
            COMPREPLY=(); return ;;
        "sealoshub repo delete --output"|"sealoshub repo delete -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub repo immutable --kubeconfig"|"sealoshub repo immutable -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo immutable --context")
            COMPREPLY=(); return ;;
        "sealoshub repo immutable --output"|"sealoshub repo immutable -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub repo retention --keep-last")
            COMPREPLY=(); return ;;
        "sealoshub repo retention --older-than")
            COMPREPLY=(); return ;;
        "sealoshub repo retention --keep-tag")
            COMPREPLY=(); return ;;
        "sealoshub repo retention --kubeconfig"|"sealoshub repo retention -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub repo retention --context")
            COMPREPLY=(); return ;;
        "sealoshub repo retention --output"|"sealoshub repo retention -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub token create --name"|"sealoshub token create -n")
            COMPREPLY=(); return ;;
        "sealoshub token create --ttl")
            COMPREPLY=(); return ;;
        "sealoshub token create --scope")
            COMPREPLY=(); return ;;
        "sealoshub token create --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub token create --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub token create --output"|"sealoshub token create -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub token list --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub token list --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub token list --output"|"sealoshub token list -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub token revoke --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub token revoke --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub token revoke --output"|"sealoshub token revoke -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub explain --as")
            COMPREPLY=(); return ;;
        "sealoshub explain --as-group")
            COMPREPLY=(); return ;;
        "sealoshub explain --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub explain --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub explain --output"|"sealoshub explain -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub doctor --kubeconfig"|"sealoshub doctor -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub doctor --context")
            COMPREPLY=(); return ;;
        "sealoshub doctor --authfile")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub doctor --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub doctor --output"|"sealoshub doctor -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub up --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub up --kubeconfig")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub up --context")
            COMPREPLY=(); return ;;
        "sealoshub hub up --user")
            COMPREPLY=(); return ;;
        "sealoshub hub up --registry-binary")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub up --listen")
            COMPREPLY=(); return ;;
        "sealoshub hub up --hostname")
            COMPREPLY=(); return ;;
        "sealoshub hub up --registry-port")
            COMPREPLY=(); return ;;
        "sealoshub hub up --auth-port")
            COMPREPLY=(); return ;;
        "sealoshub hub up --api-port")
            COMPREPLY=(); return ;;
        "sealoshub hub up --cert")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub up --key")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub up --output"|"sealoshub hub up -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub down --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub down --output"|"sealoshub hub down -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub status --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub status --output"|"sealoshub hub status -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub auth-server --config")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub auth-server --workers")
            COMPREPLY=(); return ;;
        "sealoshub hub controller --kubeconfig")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub controller --health-port")
            COMPREPLY=(); return ;;
        "sealoshub hub controller --health-host")
            COMPREPLY=(); return ;;
        "sealoshub hub controller --registry")
            COMPREPLY=(); return ;;
        "sealoshub hub controller --registry-token")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub controller --registry-ca")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub controller --sweep-rate")
            COMPREPLY=(); return ;;
        "sealoshub hub manifests --overlay")
            COMPREPLY=(); return ;;
        "sealoshub hub manifests --host")
            COMPREPLY=(); return ;;
        "sealoshub hub manifests --image")
            COMPREPLY=(); return ;;
        "sealoshub hub secrets --keys")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub migrate --kubeconfig"|"sealoshub hub migrate -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub migrate --context")
            COMPREPLY=(); return ;;
        "sealoshub hub gc --idle")
            COMPREPLY=(); return ;;
        "sealoshub hub gc --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub gc --output"|"sealoshub hub gc -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub revoke --user")
            COMPREPLY=(); return ;;
        "sealoshub hub revoke --organization")
            COMPREPLY=(); return ;;
        "sealoshub hub revoke --login")
            COMPREPLY=(); return ;;
        "sealoshub hub revoke --kubeconfig"|"sealoshub hub revoke -k")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub revoke --context")
            COMPREPLY=(); return ;;
        "sealoshub hub revoke --output"|"sealoshub hub revoke -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub user add --group")
            COMPREPLY=(); return ;;
        "sealoshub hub user add --days")
            COMPREPLY=(); return ;;
        "sealoshub hub user add --out")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub user add --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub user add --output"|"sealoshub hub user add -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub keys list --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub keys list --output"|"sealoshub hub keys list -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub keys rotate --data")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub keys rotate --output"|"sealoshub hub keys rotate -o")
            COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
        "sealoshub hub plugin ext-auth --config")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub plugin ext-auth --api-server")
            COMPREPLY=(); return ;;
        "sealoshub hub plugin ext-auth --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub plugin ext-auth --token-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub plugin ext-auth --service")
            COMPREPLY=(); return ;;
        "sealoshub hub plugin ext-authz --config")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub plugin ext-authz --api-server")
            COMPREPLY=(); return ;;
        "sealoshub hub plugin ext-authz --ca-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub plugin ext-authz --token-file")
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        "sealoshub hub plugin ext-authz --service")
            COMPREPLY=(); return ;;
    esac
    case "$where" in
        "sealoshub") words="login logout whoami push pull apply get search org repo token explain doctor hub credential-helper completion --version --help -h" ;;
        "sealoshub login") words="--kubeconfig -k --context --token --token-file --token-stdin --username -u --password-stdin --authfile --compat --persist --store --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --no-exchange --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub logout") words="--all --keep-server-session --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub whoami") words="--repo --offline --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub push") words="--tag --cr-option --kubeconfig -k --context --platform --all-platforms --compression --jobs --limit-rate --chunk-size --retry-budget --digestfile --dry-run --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" files=yes ;;
        "sealoshub pull") words="--format --platform --all-platforms --jobs --limit-rate --retry-budget --digestfile --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub apply") words="--filename -f --dry-run --wait --force-conflicts --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" files=yes ;;
        "sealoshub get") words="orgs repos images datapacks --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub search") words="--kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub org") words="create share unshare members delete quota --help -h" ;;
        "sealoshub org create") words="--public --private --display-name --wait --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub org share") words="--user --group --service-account --role --force --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub org unshare") words="--user --group --service-account --force --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub org members") words="--kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub org delete") words="--with-repositories --wait --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub org quota") words="--repositories --tags --size --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub repo") words="public private delete immutable retention --help -h" ;;
        "sealoshub repo public") words="--kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub repo private") words="--kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub repo delete") words="--content --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub repo immutable") words="--none --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub repo retention") words="--keep-last --older-than --keep-tag --none --dry-run --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub token") words="create list revoke --help -h" ;;
        "sealoshub token create") words="--name -n --ttl --scope --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub token list") words="--authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub token revoke") words="--authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub explain") words="pull push delete --as --as-group --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub doctor") words="--kubeconfig -k --context --authfile --plain-http --ca-file --insecure-skip-tls-verify --trust-realm --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub") words="up down status auth-server controller manifests secrets migrate gc revoke user keys plugin --help -h" ;;
        "sealoshub hub up") words="--data --foreground --kubeconfig --context --user --registry-binary --listen --hostname --registry-port --auth-port --api-port --cert --key --private-names --public-names --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub down") words="--data --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub status") words="--data --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub auth-server") words="--config --workers --help -h" ;;
        "sealoshub hub controller") words="--kubeconfig --health-port --health-host --leader-election --no-leader-election --registry --registry-token --registry-ca --registry-plain-http --sweep-rate --help -h" ;;
        "sealoshub hub manifests") words="--overlay --host --image --monitor --private-names --help -h" ;;
        "sealoshub hub secrets") words="--keys --help -h" ;;
        "sealoshub hub migrate") words="--dry-run --kubeconfig -k --context --help -h" ;;
        "sealoshub hub gc") words="--dry-run --untagged --idle --data --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub revoke") words="--user --organization --login --dry-run --kubeconfig -k --context --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub user") words="add --help -h" ;;
        "sealoshub hub user add") words="--group --token --days --out --data --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub keys") words="list rotate --help -h" ;;
        "sealoshub hub keys list") words="--data --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub keys rotate") words="--data --output -o --quiet -q --verbose -v --help -h" ;;
        "sealoshub hub plugin") words="ext-auth ext-authz --help -h" ;;
        "sealoshub hub plugin ext-auth") words="--config --api-server --ca-file --token-file --service --any-account --help -h" ;;
        "sealoshub hub plugin ext-authz") words="--config --api-server --ca-file --token-file --service --help -h" ;;
        "sealoshub credential-helper") words="get store erase list --help -h" ;;
        "sealoshub completion") words="bash zsh fish --help -h" ;;
    esac
    if [[ $files && $cur != -* ]]; then
        compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
    fi
}
complete -F _sealoshub sealoshub
