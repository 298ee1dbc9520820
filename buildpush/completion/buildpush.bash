# Completion of buildpush in bash; `buildpush completion bash` prints it.
_buildpush() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        line=${line%%$'\t'*}
        case $line in
            @path) compopt -o default; return ;;
            @directory) compopt -o dirnames; return ;;
            *) COMPREPLY+=("$line") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _buildpush buildpush
