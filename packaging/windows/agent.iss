; Inno Setup's recipe of the e-key driver: for one person, without an administrator, started with the session. Made by build.ps1. Not built by `make`.
[Setup]
AppId={{7E0F6B52-4C5B-4B0A-9C39-52C1B7B6F0A1}
AppName=E-key driver
AppVersion={#Version}
AppPublisher=Licence platform
DefaultDirName={localappdata}\Programs\idp-ekey-agent
PrivilegesRequired=lowest
DisableProgramGroupPage=yes
OutputDir=..\..\dist
OutputBaseFilename=idp-ekey-agent-{#Version}-setup

[Files]
Source: "..\..\dist\idp-ekey-agent\*"; DestDir: "{app}"; Flags: recursesubdirs ignoreversion
Source: "..\..\dist\options"; DestDir: "{app}"; Flags: onlyifdoesntexist

[Icons]
Name: "{userstartup}\idp-ekey-agent"; Filename: "{app}\idp-ekey-agent.exe"; Parameters: """@{app}\options"""

[Run]
Filename: "{app}\idp-ekey-agent.exe"; Parameters: """@{app}\options"""; Flags: nowait postinstall
