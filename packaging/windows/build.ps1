# The Windows installer, on Windows with Python 3.11 and Inno Setup 6: .\build.ps1 -Origins https://sso.example.cn [-Certificate THUMBPRINT]
param([Parameter(Mandatory)][string[]]$Origins, [string]$Certificate = "")
$ErrorActionPreference = "Stop"
Set-Location "$PSScriptRoot\..\.."
$version = (Select-String -Path idp\ekey\agent\__init__.py -Pattern '^VERSION = "(.*)"$').Matches[0].Groups[1].Value
py -3.11 -m venv .state\packaging
& .state\packaging\Scripts\pip install --require-hashes -r packaging\windows\requirements.txt
& .state\packaging\Scripts\pyinstaller --noconfirm --distpath dist --workpath .state\packaging\made packaging\agent.spec
$Origins | ForEach-Object { "--origin=$_" } | Set-Content -Encoding ascii dist\options
function Sign($file) { if ($Certificate) { signtool sign /sha1 $Certificate /fd SHA256 /tr http://timestamp.digicert.com /td SHA256 $file } }
Sign dist\idp-ekey-agent\idp-ekey-agent.exe
& "${env:ProgramFiles(x86)}\Inno Setup 6\ISCC.exe" "/DVersion=$version" packaging\windows\agent.iss
Sign "dist\idp-ekey-agent-$version-setup.exe"
Get-FileHash -Algorithm SHA256 "dist\idp-ekey-agent-$version-setup.exe"
