# Completion of buildpush in fish; `buildpush completion fish` prints it.
function __buildpush_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l answers ($typed[1] __complete fish $typed[2..] "$current" 2>/dev/null)
    set -l first (string split -f 1 \t -- "$answers[1]")
    set -l flag (string match -r -- '^--[^=]*=' "$current")
    set -l rest (string replace -r -- '^--[^=]*=' '' "$current")
    switch "$first"
        case @path
            string replace -r -- '^' "$flag" (__fish_complete_path "$rest")
        case @directory
            string replace -r -- '^' "$flag" (__fish_complete_directories "$rest")
        case '*'
            printf '%s\n' $answers
    end
end
complete -c buildpush -f -a '(__buildpush_complete)'
